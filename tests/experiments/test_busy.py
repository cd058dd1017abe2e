"""Whether a DVC is at work: by what it noted, and by the processes that there are."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from recap.experiments.busy import NOTE, living_dvcs, refuse_beside_dvc
from recap.runtime.errors import UserError
from tests.processes import sleeping

pytestmark = pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="needs /proc")


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A process that was started as `python -m dvc repro` is."""
    monkeypatch.chdir(tmp_path)
    NOTE.parent.mkdir(parents=True)
    with sleeping("dvc", "repro") as process:
        yield process


def note(pid: int, command: str) -> None:
    NOTE.write_text(json.dumps({"write": {"/a": {"pid": pid, "cmd": command}}, "read": {}}))


def test_a_stage_that_runs_keeps_others_out(process: int) -> None:
    note(process, "/with a blank/dvc/__main__.py repro")
    with pytest.raises(UserError, match=rf"found process {process} in a stage \(dvc .*repro\)"):
        refuse_beside_dvc()


def test_an_old_note_whose_number_another_process_has_keeps_nobody_out(process: int) -> None:
    note(process, "/some/where/dvc/__main__.py pull")
    refuse_beside_dvc()
    note(2**22 + 1, "/some/where/dvc/__main__.py repro")  # above Linux's largest
    refuse_beside_dvc()


@pytest.mark.parametrize("torn", ["", "[]", '{"write": null}', b"\xff"])
def test_a_torn_note_keeps_nobody_out(process: int, torn: str | bytes) -> None:
    NOTE.write_bytes(torn if isinstance(torn, bytes) else torn.encode())
    refuse_beside_dvc()


def test_processes_of_dvc_are_seen_with_their_folder(process: int, tmp_path: Path) -> None:
    found = dict(living_dvcs())
    assert found[process] == tmp_path and os.getpid() not in found
