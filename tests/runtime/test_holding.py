"""A folder is held by one run at a time."""

import errno
import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from recap.runtime.errors import UserError
from recap.runtime.holding import held
from recap.runtime.scratch import discard_unheld

# Holds a folder, says so, and ends when its standard input does.
HOLDER = """
import os, sys
from pathlib import Path
from recap.runtime.holding import held
with held(Path(sys.argv[1])):
    if "fork" in sys.argv and os.fork() == 0:
        import time; time.sleep(20)
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(folder: Path, *flags: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), *flags], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process, which holds `tmp_path / "a"`."""
    process = hold(tmp_path / "a")
    yield process
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()


def test_a_second_run_is_told_who_holds_a_folder(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    message = rf"a: expected to work here alone, found it held by process {other.pid} on \S+ since 20\d\d-"
    with pytest.raises(UserError, match=message), held(tmp_path / "a", patience=0):
        pytest.fail("held by two")
    with held(tmp_path / "b", patience=0):
        pass


def test_a_second_run_waits_for_one_that_ends(
    tmp_path: Path, other: subprocess.Popen[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    assert other.stdin is not None
    other.stdin.close()
    with held(tmp_path / "a", patience=30):
        assert other.wait(10) == 0
    assert not caplog.messages or re.search(rf"held by process {other.pid} .*waiting", caplog.text)


def test_a_killed_holder_holds_nothing_nor_does_its_child(tmp_path: Path) -> None:
    """A data-loading worker lives on for seconds after the process that forked it."""
    process = hold(tmp_path / "a", "fork")
    process.kill()
    process.wait()
    with held(tmp_path / "a", patience=0):
        pass
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def test_a_disk_without_locks_is_not_taken_for_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with pytest.raises(UserError, match=r"held: expected a disk that can lock files, found: "), held(tmp_path / "a"):
        pytest.fail("held without a lock")


def test_a_folder_removed_while_it_is_opened_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a holder that ends: once, between the making of the folder and the opening of the file."""
    opened, made = os.open, []

    def open_late(path: Path, *flags: int) -> int:
        made.append(path)
        if len(made) == 1:
            path.parent.rmdir()
        return opened(path, *flags)

    monkeypatch.setattr(os, "open", open_late)
    with held(tmp_path / "a", patience=5):
        assert len(made) == 2 and (tmp_path / "a").is_dir()


def test_the_holder_may_remove_its_folder(tmp_path: Path) -> None:
    with held(tmp_path / "a"):
        discard_unheld(tmp_path)
    assert not (tmp_path / "a").exists()
    with held(tmp_path / "a", patience=0):
        assert (tmp_path / "a").is_dir()


def test_unfinished_work_of_others_is_removed_unless_they_are_at_it(
    tmp_path: Path, other: subprocess.Popen[str]
) -> None:
    (tmp_path / "b" / "checkpoint-2").mkdir(parents=True)
    (tmp_path / "a" / "checkpoint-2").mkdir()
    discard_unheld(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a" / "checkpoint-2").is_dir() and other.poll() is None


def test_waiting_is_short_of_patience(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    start = time.monotonic()
    with pytest.raises(UserError), held(tmp_path / "a", patience=0.3):
        pass
    assert 0.3 <= time.monotonic() - start < 5 and other.poll() is None
