"""Torn checkpoints are found out, whole ones are gone on from."""

import dataclasses
import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError

import recap
from recap.params import ScoreParams
from recap.runtime.errors import UserError
from recap.training import provenance
from recap.training.checkpoints import (
    MARKER,
    checkpoint_folder,
    is_complete,
    last_complete,
    mark_complete,
    raise_if_disk_is_full,
    remove_torn,
    step_of,
)
from recap.training.compute import Compute


def make_checkpoint(folder: Path, step: int, *, complete: bool = True) -> Path:
    checkpoint = folder / f"checkpoint-{step}"
    (checkpoint / "engine").mkdir(parents=True)
    (checkpoint / "weights").write_bytes(b"0123456789")
    (checkpoint / "engine" / "state").write_bytes(b"01234")
    if complete:
        mark_complete(checkpoint)
    return checkpoint


def test_last_complete_counts_steps_as_numbers(tmp_path: Path) -> None:
    assert last_complete(tmp_path) is None
    for step in (9, 60, 120):
        make_checkpoint(tmp_path, step, complete=step != 120)
    (tmp_path / "checkpoint-draft").mkdir()
    found = last_complete(tmp_path)
    assert found is not None
    assert step_of(found) == 60


@pytest.mark.parametrize("name", ["weights", "engine/state"])
def test_a_lost_or_cut_file_makes_a_checkpoint_torn(tmp_path: Path, name: str) -> None:
    for step, spoil in ((1, Path.unlink), (2, lambda file: file.write_bytes(b"01"))):
        checkpoint = make_checkpoint(tmp_path, step)
        assert is_complete(checkpoint)
        spoil(checkpoint / name)
        assert not is_complete(checkpoint)


def test_a_torn_marker_makes_a_checkpoint_torn(tmp_path: Path) -> None:
    checkpoint = make_checkpoint(tmp_path, 1)
    (checkpoint / MARKER).write_text('{"weights": 1')
    assert not is_complete(checkpoint)


def test_torn_checkpoints_are_removed_and_nothing_else(tmp_path: Path) -> None:
    whole, torn = make_checkpoint(tmp_path, 1), make_checkpoint(tmp_path, 2, complete=False)
    (tmp_path / "dvclive").mkdir()
    assert remove_torn(tmp_path) == [torn]
    assert sorted(path.name for path in tmp_path.iterdir()) == [whole.name, "dvclive"]


CPU = Compute(
    device=torch.device("cpu"),
    dtype=torch.float32,
    micro_batch_size=2,
    gradient_checkpointing=False,
    deepspeed=None,
    dataloader_workers=0,
)


def change_seed(run: dict[str, Any], _: pytest.MonkeyPatch) -> None:
    run["params"]["seed"] = 2


def change_section(run: dict[str, Any], _: pytest.MonkeyPatch) -> None:
    run["params"]["score"] = ScoreParams(max_unanswered=1.0)


def change_input(run: dict[str, Any], _: pytest.MonkeyPatch) -> None:
    run["inputs"][0].write_text("two")


def change_script(run: dict[str, Any], _: pytest.MonkeyPatch) -> None:
    run["script"].write_text("train(faster=True)")


def change_processes(_: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")


def change_library(_: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "library_versions", lambda names: dict.fromkeys(names, "9.9"))


def change_dtype(run: dict[str, Any], _: pytest.MonkeyPatch) -> None:
    run["compute"] = dataclasses.replace(CPU, dtype=torch.bfloat16)


def use_deepspeed(run: dict[str, Any], _: pytest.MonkeyPatch) -> None:
    run["compute"] = dataclasses.replace(CPU, deepspeed=str(write_zero_config(run, stage=2)))


def write_zero_config(run: dict[str, Any], *, stage: int) -> Path:
    file: Path = run["inputs"][0].with_name("zero.json")
    file.write_text(f'{{"zero_optimization": {{"stage": {stage}}}}}')
    return file


CHANGES = (change_seed, change_section, change_input, change_script, change_processes, change_library)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(tmp_path)
    data, script = tmp_path / "train.jsonl", tmp_path / "train.py"
    data.write_text("one")
    script.write_text("train()")
    params = {"score": ScoreParams(max_unanswered=0.0), "seed": 1}
    return {"inputs": [data], "params": params, "script": script, "compute": CPU}


@pytest.mark.parametrize("change", [*CHANGES, change_dtype, use_deepspeed], ids=lambda change: change.__name__)
def test_whatever_moves_a_weight_gives_another_folder(
    run: dict[str, Any], monkeypatch: pytest.MonkeyPatch, change: Callable[..., None]
) -> None:
    first = checkpoint_folder("pretrain", **run)
    assert first.is_dir() and first == checkpoint_folder("pretrain", **run)
    change(run, monkeypatch)
    assert checkpoint_folder("pretrain", **run) != first


def test_any_code_that_a_weight_depends_on_gives_another_folder(
    run: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "recap"
    shutil.copytree(Path(recap.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(recap, "__file__", str(package / "__init__.py"))
    folders = [checkpoint_folder("pretrain", **run)]
    for changed in ("data/corpus/records.py", "models/mgm/mining.py", "training/trainer.py", "runtime/seeding.py"):
        with (package / changed).open("a") as code:
            code.write("\n# changed\n")
        folders.append(checkpoint_folder("pretrain", **run))
    assert len(set(folders)) == len(folders)
    with (package / "reporting" / "__init__.py").open("a") as code:
        code.write("\n# changed\n")
    assert checkpoint_folder("pretrain", **run) == folders[-1]


def test_the_folder_depends_on_what_a_deepspeed_file_holds(run: dict[str, Any]) -> None:
    folders = set()
    for stage in (2, 3, 2):
        run["compute"] = dataclasses.replace(CPU, deepspeed=str(write_zero_config(run, stage=stage)))
        folders.add(checkpoint_folder("pretrain", **run))
    assert len(folders) == 2


def test_the_folder_does_not_depend_on_how_the_work_is_cut(run: dict[str, Any]) -> None:
    first = checkpoint_folder("pretrain", **run)
    run["compute"] = dataclasses.replace(CPU, micro_batch_size=4, gradient_checkpointing=True, dataloader_workers=3)
    assert checkpoint_folder("pretrain", **run) == first


def test_a_missing_input_is_one_clear_line(run: dict[str, Any], tmp_path: Path) -> None:
    run["inputs"] = [tmp_path / "nothing.jsonl"]
    with pytest.raises(UserError, match=r"nothing\.jsonl.*pretrain"):
        checkpoint_folder("pretrain", **run)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        SafetensorError("I/O error: No space left on device (os error 28)"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
    ],
    ids=["write", "safetensors", "quota"],
)
def test_a_full_disk_is_one_line_and_leaves_the_earlier_checkpoint(tmp_path: Path, error: Exception) -> None:
    earlier, torn = make_checkpoint(tmp_path, 2), make_checkpoint(tmp_path, 4, complete=False)
    with pytest.raises(UserError, match=r"what step 4 writes, found the disk full; .* goes on from checkpoint-2$"):
        raise_if_disk_is_full(error, tmp_path, 4)
    assert not torn.exists() and last_complete(tmp_path) == earlier


def test_a_failure_without_a_word_of_the_disk_is_the_disks_if_nothing_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_checkpoint(tmp_path, 4, complete=False)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=4096))
    with pytest.raises(UserError, match=r"the disk full; .* no earlier checkpoint is there$"):
        raise_if_disk_is_full(RuntimeError("PytorchStreamWriter failed writing file"), tmp_path, 4)


def test_another_failure_to_write_is_not_the_disks(tmp_path: Path) -> None:
    raise_if_disk_is_full(OSError(errno.EACCES, "Permission denied"), tmp_path, 4)
    raise_if_disk_is_full(RuntimeError("a gloo collective failed"), tmp_path, 4)
