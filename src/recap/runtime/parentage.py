"""Processes that end with the one that started them, however that one ends (Linux; elsewhere they outlive it)."""

import ctypes
import multiprocessing
import os
import signal
import sys
from contextlib import suppress
from multiprocessing import connection
from pathlib import Path
from threading import Thread

# <linux/prctl.h>
PR_SET_PDEATHSIG = 1
# Shells that stay between whoever runs `SHELL -c COMMAND` and the command; bash and zsh make way for it.
STAYING_SHELLS = ("sh", "dash")


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


def end_with_caller() -> None:
    """Have this process, a command that a program runs through a shell, get a SIGTERM when that program ends.

    Where the shell stays in between, a thread watches the program, as the kernel tells of parents alone. A program that
    ended before this is called has left its place to whoever takes in orphans: then the signal is due now.
    """
    program = os.getppid()
    end_with_parent(program, signal.SIGTERM)
    if sys.platform != "linux":
        return
    with suppress(OSError):  # a program that ended meanwhile, or a kernel that cannot watch one
        name, parent = _name_and_parent(program)
        if name in STAYING_SHELLS:
            program = parent
            Thread(target=_terminate_after, args=(os.pidfd_open(program),), daemon=True).start()
        if _takes_in_orphans(program):
            os.kill(os.getpid(), signal.SIGTERM)


def _name_and_parent(process: int) -> tuple[str, int]:
    # /proc/<pid>/stat: pid (name) state parent ...
    name, _, rest = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").partition("(")[2].rpartition(")")
    return name, int(rest.split()[1])


def _takes_in_orphans(process: int) -> bool:
    """The first process of a machine or a container, unless that is DVC itself, and the manager of a user's session."""
    if process != 1:
        return _name_and_parent(process)[0] == "systemd"
    words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    return all(os.path.basename(word) != b"dvc" for word in words)


def _terminate_after(program: int) -> None:
    connection.wait([program])
    os.kill(os.getpid(), signal.SIGTERM)


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
