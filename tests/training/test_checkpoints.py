"""Torn checkpoints are found out, whole ones are gone on from."""

from pathlib import Path

import pytest

from recap.params import ScoreParams
from recap.runtime.errors import UserError
from recap.training.checkpoints import (
    MARKER,
    checkpoint_folder,
    is_complete,
    last_complete,
    mark_complete,
    remove_torn,
    step_of,
)


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


def test_the_folder_depends_on_inputs_parameters_and_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "train.jsonl"
    data.write_text("one")
    params = {"score": ScoreParams(max_unanswered=0.0), "seed": 1}
    first = checkpoint_folder("pretrain", inputs=[data], params=params)
    assert first.is_dir()
    assert first == checkpoint_folder("pretrain", inputs=[data], params=params)
    others = [checkpoint_folder("pretrain", inputs=[data], params={**params, "seed": 2})]
    others.append(
        checkpoint_folder("pretrain", inputs=[data], params={"score": ScoreParams(max_unanswered=1.0), "seed": 1})
    )
    monkeypatch.setenv("WORLD_SIZE", "2")
    others.append(checkpoint_folder("pretrain", inputs=[data], params=params))
    monkeypatch.delenv("WORLD_SIZE")
    data.write_text("two")
    others.append(checkpoint_folder("pretrain", inputs=[data], params=params))
    assert len({first, *others}) == 5


def test_a_missing_input_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"nothing\.jsonl.*pretrain"):
        checkpoint_folder("pretrain", inputs=[tmp_path / "nothing.jsonl"], params={})
