"""Processes that end with the one that started them, however that one ends (Linux; elsewhere they outlive it)."""

import ctypes
import multiprocessing
import os
import signal
import sys
from multiprocessing import connection
from threading import Thread

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


def end_with_owner() -> None:
    """Have this process, a worker of a pool, end with the one that made the pool: the `initializer` of its executor.

    The kernel's signal is of no use here: the parent of a forkserver's workers is that server, which they keep alive,
    as they keep open the queue that they wait at.
    """
    owner = multiprocessing.parent_process()
    assert owner is not None, "expected a worker of multiprocessing"
    Thread(target=_exit_after, args=(owner.sentinel,), daemon=True).start()


def _exit_after(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
