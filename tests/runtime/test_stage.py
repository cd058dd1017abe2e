"""A user's mistake is one line and exit code 1; a programming error keeps its traceback."""

import errno
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.exceptions import DvcException
from dvc.scm import RevError
from safetensors import SafetensorError
from tqdm import tqdm

from recap.runtime.errors import UserError
from recap.runtime.seeding import derive_seed
from recap.runtime.stage import run


def test_a_user_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise UserError("params.yaml: lora.r: missing")

    with pytest.raises(SystemExit) as stopped:
        run(main)
    assert stopped.value.code == 1
    assert capsys.readouterr().err.strip() == "error: params.yaml: lora.r: missing"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "mine/train.jsonl"), "mine/train.jsonl: "),
        (OSError(errno.ENOSPC, "No space left on device"), f"{Path.cwd()}: "),
        (SafetensorError("Error while serializing: I/O error: File too large (os error 27)"), f"{Path.cwd()}: "),
    ],
)
def test_what_the_machine_refuses_is_one_line(error: Exception, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as stopped:
        run(main)
    assert stopped.value.code == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {told}") and line.endswith(
        ("found: Permission denied", "found: No space left on device", "found: File too large")
    )


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), "expected memory enough for this stage, found: MemoryError; let it take less"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 8 bytes\n\nframe #0"),
            "expected memory",
        ),
        (ImportError("libparquet.so: failed to map segment from shared object"), "expected memory enough"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "expected memory enough"),
        (RevError("unknown Git revision\n'nope'"), "DVC: unknown Git revision 'nope'"),
        (DvcException("dvc.lock is invalid"), "DVC: dvc.lock is invalid"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."), "expected processes that load data"),
    ],
)
def test_a_machine_that_gives_out_is_one_line(error: Exception, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise error

    with pytest.raises(SystemExit):
        run(main)
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {told}")


def test_a_database_on_a_full_disk_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        with sqlite3.connect(tmp_path / "database") as database:
            database.execute("PRAGMA max_page_count = 2")
            database.execute("CREATE TABLE kept (value)")
            database.execute("INSERT INTO kept VALUES (zeroblob(100000))")

    with pytest.raises(SystemExit):
        run(main)
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith("expected a database to read and write as this run needs it, found: database or disk is full")


def test_an_error_does_not_end_a_bars_line(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        bar = tqdm(total=2, file=sys.stderr)
        bar.update()
        raise UserError("no more")

    with pytest.raises(SystemExit):
        run(main)
    assert capsys.readouterr().err.splitlines()[-1] == "error: no more"


def test_an_interrupt_is_one_line_and_130(capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as caught:
        run(main)
    assert caught.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_other_errors_pass_through() -> None:
    def main() -> None:
        raise KeyError("bug")

    with pytest.raises(KeyError):
        run(main)


def test_a_later_process_lets_the_first_speak(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("recap.runtime.stage.time.sleep", waits.append)

    def main() -> None:
        raise RuntimeError("connection closed by peer")

    for rank, expected in (("0", 0), ("1", 1)):
        monkeypatch.setenv("RANK", rank)
        waits.clear()
        with pytest.raises(RuntimeError):
            run(main)
        assert len(waits) == expected


def test_derived_seeds_depend_on_every_part_and_nothing_else() -> None:
    seeds = {derive_seed(42, "caption", "a"), derive_seed(42, "caption", "b"), derive_seed(43, "caption", "a")}
    seeds |= {derive_seed(42, "captiona"), derive_seed(42, "caption", "a", 0)}
    assert len(seeds) == 5
    assert derive_seed(42, "caption", "a") == derive_seed(42, "caption", "a")
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize(
    ("processes", "end", "code", "said"),
    [
        ("2", "", 0, "saved"),
        ("2", "sys.exit(143)", 143, "saved"),
        ("2", "raise UserError('none')", 1, "saved"),
        ("2", "raise KeyboardInterrupt", 130, "saved"),
        ("1", "", -signal.SIGABRT, ""),
    ],
)
def test_a_process_of_a_launch_ends_where_its_work_does(processes: str, end: str, code: int, said: str) -> None:
    """What threads of other processes' groups do while an interpreter is taken apart is no fault of the run."""
    script = (
        "import atexit, os, sys\n"
        "from recap.runtime.errors import UserError\n"
        "from recap.runtime.stage import run\n"
        "atexit.register(os.abort)\n"
        f"def main():\n    print('saved', end='')\n    {end}\n"
        "run(main)\n"
    )
    environment = os.environ | {"WORLD_SIZE": processes, "RANK": "0"}
    environment.pop("PYTHONUNBUFFERED", None)  # what is still in a buffer is lost in an abort
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (code, said)
