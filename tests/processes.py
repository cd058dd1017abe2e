"""Processes that tests start, weigh, interrupt and kill."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.unprivileged import obey_file_modes


@contextmanager
def sleeping(*words: str) -> Iterator[int]:
    """The id of a process that does nothing; its command line ends in `words`, which the kernel shows."""
    command = [sys.executable, "-c", "import time; print(flush=True); time.sleep(600)", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


def cpu_seconds() -> float:
    """What the processes that were started here and ended took of processors, so far."""
    times = os.times()
    return times.children_user + times.children_system


def as_from_a_terminal() -> None:
    """For `preexec_fn`: a user whom file modes bind, and Ctrl-C, which a shell takes from background jobs."""
    obey_file_modes()
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for_the_end_of_group(group: int, patience_s: float = 60) -> None:
    """Init buries the killed when it gets to it; until then DVC takes them for alive, and their locks for held."""
    deadline = time.monotonic() + patience_s
    while _is_there(group):
        assert time.monotonic() < deadline, f"process group {group} is still there"
        time.sleep(0.02)


def _is_there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
