"""What an earlier run left behind: locks, half-written files, work of an older Recap, dates that lie."""

import json
import os
import random
import signal
import subprocess
from pathlib import Path

import pytest

from .conftest import SEED
from .project import START, Note, Run, Undisturbed, copy_of, cure, differences, finish, torn

pytestmark = pytest.mark.slow

STAGE = "quality"
RWLOCK = ".dvc/tmp/rwlock"
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
YEAR_S = 365 * 86400


def test_locks_and_drafts_and_older_work(undisturbed: Undisturbed, tmp_path: Path, note: Note) -> None:
    """All at once, as each is to be ignored or removed: none keeps a run from ending as the undisturbed one."""
    clone = copy_of(undisturbed.clone, tmp_path, without=[STAGE, "caption"])
    gone = subprocess.Popen(["true"])
    gone.wait()
    holder = {"pid": gone.pid, "cmd": "dvc repro"}
    locked = {str(clone.root / "data" / "corpus"): holder}
    (clone.root / RWLOCK).write_text(json.dumps({"write": locked, "read": {}}))
    (clone.root / ".dvc/tmp/lock").write_text(f" {gone.pid}\n")
    for stage in ("caption", "prepare"):
        older = clone.root / ".scratch" / stage / "0123456789abcdef"
        older.mkdir(parents=True)
        (older / "held").write_text(json.dumps({"pid": gone.pid, "host": "gone", "since": "2020"}))
        (older / "work.jsonl").write_text('{"format": 0}\n{"fo')
    # What a killed `atomic_path` leaves.
    for target in (
        "metrics/caption.json",
        "data/candidates.jsonl",
        "data/details/caption.json",
        "plots/quality/words.csv",
    ):
        draft = clone.root / Path(target).parent / f".{Path(target).name}.abcdefgh" / Path(target).name
        draft.parent.mkdir(parents=True)
        draft.write_text("{")
    run = Run(clone)
    assert run.end() == 0, run.said[-3000:]
    left = differences(undisturbed, clone)
    # Older work is not taken up; only training and `prepare` clear it away, and neither ran.
    assert [name for name in left if not name.startswith(".scratch/")] == []
    note("locks of a killed dvc", ".dvc/tmp/rwlock, .dvc/tmp/lock", "dvc removes them; all outputs as undisturbed")
    note("unfinished work of an older Recap", ".scratch", "not taken up; all outputs as undisturbed")
    note("drafts of a killed stage", "metrics, plots, data", "removed; all outputs as undisturbed")


@pytest.mark.faults_on_demand
def test_files_that_dvc_was_writing(undisturbed: Undisturbed, tmp_path: Path, note: Note) -> None:
    """Cut anywhere, as dvc writes both in place. No work is lost: what dvc.lock has not, the run-cache has."""
    clone = copy_of(undisturbed.clone, tmp_path)
    lock = clone.root / "dvc.lock"
    whole = lock.read_text()
    for name, part in [(RWLOCK, ""), (RWLOCK, '{"read": {"/a'), ("dvc.lock", ""), ("dvc.lock", whole[:700])]:
        path = clone.root / name
        path.write_text(part)
        assert torn(clone) == [name]
        run = Run(clone)
        assert run.end() != 0 and path.name in run.said and "Traceback" not in run.said, run.said[-3000:]
        command = cure(clone, name)
        assert list(finish(clone, undisturbed).stages) == [START]
        note(f"a part of {name}", "dvc", f"dvc names the file; after `{command}` no stage runs again")
    draw = random.Random(SEED)
    lines = whole.splitlines(keepends=True)
    for count in draw.sample(range(3, len(lines)), 4):
        lock.write_text("".join(lines[:count]))
        cured = [f"dvc names the file; after `{cure(clone, name)}` " for name in torn(clone)]
        assert list(finish(clone, undisturbed).stages) == [START]
        note("dvc.lock that ends between two lines", "dvc", "".join([*cured, "no stage runs again"]))


@pytest.mark.faults_on_demand
def test_a_lock_whose_number_another_process_has(undisturbed: Undisturbed, tmp_path: Path, note: Note) -> None:
    clone = copy_of(undisturbed.clone, tmp_path, without=[STAGE])
    path = clone.root / RWLOCK
    holder = {"pid": os.getpid(), "cmd": "dvc repro"}
    path.write_text(json.dumps({"write": {str(clone.root / "data" / "corpus"): holder}, "read": {}}))
    run = Run(clone)
    assert run.end() != 0
    assert "you can manually remove" in run.said
    path.unlink()
    finish(clone, undisturbed)
    note("a lock whose process number is another's now", ".dvc/tmp/rwlock", "dvc says which file to remove")


@pytest.mark.faults_on_demand
def test_dates_that_lie(undisturbed: Undisturbed, tmp_path: Path, note: Note) -> None:
    """Files from ten years ago to in ten years: nothing runs for their sake, and what is missing comes out the same."""
    draw = random.Random(SEED)
    clone = copy_of(undisturbed.clone, tmp_path, without=[STAGE])
    for path in clone.root.rglob("*"):
        if path.is_file() and ".git" not in path.parts:
            date = path.stat().st_mtime + draw.uniform(-10, 10) * YEAR_S
            os.utime(path, (date, date), follow_symlinks=False)
    run = Run(clone)
    assert run.end() == 0, run.said[-3000:]
    assert set(run.stages) == {"start", STAGE, "report"}
    assert differences(undisturbed, clone) == []
    note("dates of files up to ten years off", "all files", "only what was missing runs; all outputs as undisturbed")


@pytest.mark.faults_on_demand
@pytest.mark.skipif(not FAKETIME.exists(), reason="needs libfaketime (apt install libfaketime)")
@pytest.mark.parametrize("stage", ["caption", "finetune"])
def test_a_clock_that_jumps(undisturbed: Undisturbed, tmp_path: Path, stage: str, note: Note) -> None:
    """A run in the future is killed; one in the past goes on with its work."""
    clone = copy_of(undisturbed.clone, tmp_path, without=[stage])
    run = Run(clone, environment=at("+400d"))
    run.reach(stage, undisturbed.seconds[stage] * 0.7)
    run.signal(signal.SIGKILL)
    run.end()
    run = Run(clone, environment=at("-400d"))
    assert run.end() == 0, run.said[-3000:]
    assert differences(undisturbed, clone) == []
    note("a clock that jumps by 800 days between a kill and the next run", stage, "all outputs as undisturbed")


def at(shift: str) -> dict[str, str]:
    return {"LD_PRELOAD": str(FAKETIME), "FAKETIME": shift, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
