"""Unfinished work is found again when nothing changed, and only then."""

import os
import stat
from pathlib import Path

import pytest

from recap.runtime.scratch import Journal, fingerprint, scratch_dir


def test_the_fingerprint_covers_inputs_params_and_code(tmp_path: Path) -> None:
    data, code = tmp_path / "data", tmp_path / "code"
    data.mkdir(), code.mkdir()
    (data / "a.txt").write_text("1", encoding="utf-8")
    (code / "m.py").write_text("x = 1", encoding="utf-8")

    def digest(**params: int) -> str:
        return fingerprint(inputs=[data], params=params, code=[code])

    first = digest(r=16)
    assert first == digest(r=16) and len(first) == 16
    assert first != digest(r=8)
    (code / "__pycache__").mkdir()
    (code / "__pycache__" / "m.py").write_text("junk", encoding="utf-8")
    assert first == digest(r=16)
    (code / "m.py").write_text("x = 2", encoding="utf-8")
    second = digest(r=16)
    assert first != second
    (data / "b.txt").write_text("", encoding="utf-8")
    assert second != digest(r=16)
    with pytest.raises(FileNotFoundError):
        fingerprint(inputs=[tmp_path / "nothing"], params={}, code=[])


def test_a_journal_survives_a_torn_line(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "deep" / "j.jsonl")
    journal.append([{"id": 1}, {"id": 2}])
    with journal.path.open("a", encoding="utf-8") as stream:
        stream.write('{"id": 3, "ca')
    again = Journal(journal.path)
    assert [row["id"] for row in again] == [1, 2]
    again.append([{"id": 3}])
    assert [row["id"] for row in again] == [1, 2, 3]


def test_a_scratch_folder_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (scratch_dir("train", "abc") / "x").touch()
    assert (scratch_dir("train", "abc") / "x").exists()


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o750), (0o002, 0o770), (0o077, 0o700)])
def test_unfinished_work_is_closed_to_others(
    umask: int, mode: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = os.umask(umask)
    try:
        assert stat.S_IMODE(scratch_dir("caption", "f00d").stat().st_mode) == mode
    finally:
        os.umask(before)
