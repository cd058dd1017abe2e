"""`make` in a process group of its own, for those who interrupt or kill it."""

import signal
import subprocess
import time

from tests.experiments.stub_project import HEADLINE, Project
from tests.processes import as_from_a_terminal, wait_for_the_end_of_group


def start(project: Project) -> subprocess.Popen[bytes]:
    """Start `make`, and wait until training has begun; it goes on when the file `wait` is gone."""
    project.write("wait", "")
    process = start_now(project)
    deadline = time.monotonic() + 60
    note = project.root / "ran"
    while not note.exists() or not note.stat().st_size:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    assert len(project.trained()) == 1
    return process


def start_now(project: Project, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        HEADLINE, cwd=project.root, env=project.env | environment, start_new_session=True,
        preexec_fn=as_from_a_terminal, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def wait_until_killed(process: subprocess.Popen[bytes]) -> None:
    """Wait until a process and all of its group are gone."""
    assert process.wait(60) == -signal.SIGKILL
    wait_for_the_end_of_group(process.pid)
