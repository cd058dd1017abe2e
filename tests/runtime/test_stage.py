"""A user's mistake is one line and exit code 1; a programming error keeps its traceback."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

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
    ],
)
def test_what_the_machine_refuses_is_one_line(error: OSError, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    def main() -> None:
        raise error

    with pytest.raises(SystemExit) as stopped:
        run(main)
    assert stopped.value.code == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {told}") and line.endswith(str(error.strerror))


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


@pytest.mark.parametrize(("processes", "code", "said"), [("2", 0, "published"), ("1", -signal.SIGABRT, "")])
def test_a_process_of_a_launch_ends_where_its_work_does(processes: str, code: int, said: str) -> None:
    """What threads of other processes' groups do while an interpreter is taken apart is no fault of the run."""
    script = (
        "import atexit, os\n"
        "from recap.runtime.stage import run\n"
        "atexit.register(os.abort)\n"
        "run(lambda: print('published', end=''))\n"
    )
    environment = os.environ | {"WORLD_SIZE": processes, "RANK": "0"}
    environment.pop("PYTHONUNBUFFERED", None)  # what is still in a buffer is lost in an abort
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (code, said)
