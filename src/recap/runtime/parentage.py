"""Processes that end with the one that started them, however that one ends (Linux; elsewhere they outlive it)."""

import ctypes
import os
import signal
import sys

# <linux/prctl.h>
PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int, with_signal: signal.Signals) -> None:
    """Have the kernel send this process a signal when its parent ends; it stays so through an `exec`.

    Args:
        parent: The process that is meant. If another has taken its place, it is gone already: the signal is due now.
        with_signal: SIGTERM lets this process save, SIGKILL does not.

    Raises:
        OSError: The kernel refuses.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, int(with_signal), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        os.kill(os.getpid(), with_signal)
