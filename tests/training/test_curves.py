"""What DVCLive leaves in a stage's plots folder, and what a run shows before it has ended."""

from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from recap.training.curves import VALIDATION_CURVES, LiveCurves, publish_curves

HISTORY: list[dict[str, float]] = [
    {"step": 1, "loss": 2.5, "grad_norm": 3.0, "learning_rate": 0.001, "epoch": 0.5},
    {"step": 2, "loss": 1.5, "grad_norm": float("inf"), "learning_rate": 5e-4, "epoch": 1.0},
    {"step": 2, "val_loss": 1.25},
]
FILES = {
    "loss.tsv": ["step\tloss", "1\t2.5", "2\t1.5"],
    "grad_norm.tsv": ["step\tgrad_norm", "1\t3.0", "2\tinf"],
    "learning_rate.tsv": ["step\tlearning_rate", "1\t0.001", "2\t0.0005"],
    "val_loss.tsv": ["step\tval_loss", "2\t1.25"],
}


@pytest.fixture(autouse=True)
def _outside_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def begin(work: Path, history: list[dict[str, float]]) -> tuple[LiveCurves, Any]:
    """A run that starts, or goes on from a checkpoint with this history."""
    curves = LiveCurves(work)
    state = TrainerState(log_history=list(history), is_world_process_zero=True)
    call = (TrainingArguments(output_dir=str(work), report_to=[]), state, TrainerControl())
    curves.on_train_begin(*call)
    return curves, call


def log(curves: LiveCurves, call: Any, entry: dict[str, float]) -> None:
    call[1].global_step = int(entry["step"])
    curves.on_log(*call, logs={name: value for name, value in entry.items() if name != "step"})


def read(folder: Path) -> dict[str, list[str]]:
    return {file.name: file.read_text().splitlines() for file in folder.iterdir()}


def test_one_file_per_curve_with_every_step_and_no_dates(tmp_path: Path) -> None:
    plots = tmp_path / "plots" / "finetune"
    for _ in range(2):  # an old output is replaced as a whole
        curves, call = begin(tmp_path / "work", [])
        for entry in HISTORY:
            log(curves, call, entry)
        curves.on_train_end(*call)
        publish_curves(plots, work=tmp_path / "work")
        assert read(plots) == FILES
        (plots / "stale.tsv").touch()


def test_every_step_is_on_disk_when_it_is_done(tmp_path: Path) -> None:
    curves, call = begin(tmp_path / "work", [])
    for done, entry in enumerate(HISTORY[:2], start=1):
        log(curves, call, entry)
        shown = read(tmp_path / "work" / "dvclive" / "plots" / "metrics")
        assert shown["loss.tsv"] == FILES["loss.tsv"][: 1 + done]


def test_a_killed_run_goes_on_with_the_curves_of_its_checkpoint(tmp_path: Path) -> None:
    """The killed process had gone one step beyond its checkpoint; that step comes once, as it is when done again."""
    killed, call = begin(tmp_path / "work", [])
    for entry in (HISTORY[0], {**HISTORY[1], "loss": 9.0}):
        log(killed, call, entry)
    curves, call = begin(tmp_path / "work", HISTORY[:1])
    for entry in HISTORY[1:]:
        log(curves, call, entry)
    curves.on_train_end(*call)
    publish_curves(tmp_path / "plots", work=tmp_path / "work")
    assert read(tmp_path / "plots") == FILES


def test_a_curve_without_a_point_is_a_header(tmp_path: Path) -> None:
    curves, call = begin(tmp_path / "work", HISTORY[:2])
    curves.on_train_end(*call)
    publish_curves(tmp_path / "plots", work=tmp_path / "work", names=VALIDATION_CURVES)
    assert read(tmp_path / "plots") == {**FILES, "val_loss.tsv": ["step\tval_loss"]}


def test_other_processes_of_a_launch_write_nothing(tmp_path: Path) -> None:
    curves = LiveCurves(tmp_path / "work")
    state = TrainerState(log_history=HISTORY, is_world_process_zero=False)
    curves.on_train_begin(TrainingArguments(output_dir=str(tmp_path), report_to=[]), state, TrainerControl())
    assert not (tmp_path / "work").exists()
