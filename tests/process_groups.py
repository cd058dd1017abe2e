"""Commands in a process group of their own, for those who interrupt or kill all of it at once."""

import os
import signal
import time

from tests.unprivileged import obey_file_modes


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
