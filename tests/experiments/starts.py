"""`make` in a process group of its own, for those who interrupt or kill it."""

import os
import signal
import subprocess
import time

from tests.experiments.stub_project import HEADLINE, Project
from tests.unprivileged import obey_file_modes


def start(project: Project) -> subprocess.Popen[bytes]:
    """Start `make`, and wait until training has begun; it goes on when the file `wait` is gone."""
    project.write("wait", "")
    process = start_now(project)
    deadline = time.monotonic() + 60
    while not project.trained():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    return process


def start_now(project: Project, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        HEADLINE, cwd=project.root, env=project.env | environment, start_new_session=True,
        preexec_fn=_as_from_a_terminal, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def _as_from_a_terminal() -> None:
    """A user whom file modes bind, and Ctrl-C, which a shell takes from what it starts in the background."""
    obey_file_modes()
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_until_killed(process: subprocess.Popen[bytes]) -> None:
    """Wait until a process and all of its group are gone.

    Init buries the killed when it gets to it; until then DVC takes them for alive, and their locks for held.
    """
    assert process.wait(60) == -signal.SIGKILL
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    raise AssertionError(f"process group {process.pid} is still there")
