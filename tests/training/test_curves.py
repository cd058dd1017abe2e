"""What DVCLive leaves in a stage's plots folder."""

from pathlib import Path

import pytest

from recap.training.curves import publish_curves


def test_one_file_per_curve_with_every_step_and_no_dates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    history = [
        {"step": 1, "loss": 2.5, "grad_norm": 3.0, "learning_rate": 0.001, "epoch": 0.5},
        {"step": 2, "loss": 1.5, "grad_norm": float("inf"), "learning_rate": 5e-4, "epoch": 1.0},
    ]
    plots = tmp_path / "plots" / "pretrain"
    for _ in range(2):  # an old output is replaced as a whole
        publish_curves(history, plots, work=tmp_path / "work")
        files = {file.name: file.read_text().splitlines() for file in plots.iterdir()}
        assert files == {
            "loss.tsv": ["step\tloss", "1\t2.5", "2\t1.5"],
            "grad_norm.tsv": ["step\tgrad_norm", "1\t3.0", "2\tinf"],
            "learning_rate.tsv": ["step\tlearning_rate", "1\t0.001", "2\t0.0005"],
        }
        (plots / "stale.tsv").touch()
