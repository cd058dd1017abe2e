"""A folder is worked in by one run at a time; another one is told who has it.

The holder locks `<folder>/held` (POSIX record lock), which says who it is. The kernel drops the lock when the process
ends, however it ends, and children do not inherit it: a data-loading worker that outlives a killed run holds nothing.
"""

import fcntl
import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from recap.runtime.errors import UserError

logger = logging.getLogger(__name__)

FILE = "held"
# A run whose dvc was killed finishes its step and saves before it lets go: the next one waits for that.
PATIENCE_S = 60.0
POLL_S = 0.1


@contextmanager
def held(folder: Path, *, patience: float = PATIENCE_S) -> Iterator[None]:
    """Hold a folder, made if need be, while the body runs. The body may remove it.

    A process holds a folder once: a second time in the same process succeeds, and gives the lock up on leaving.

    Args:
        folder: What to hold.
        patience: Seconds to wait for a holder to let go.

    Raises:
        UserError: Another process holds it, here or, on a shared disk, on another host; or the disk cannot lock files.
    """
    file = _lock(folder, patience)
    try:
        yield
    finally:
        os.close(file)


def _lock(folder: Path, patience: float) -> int:
    deadline = time.monotonic() + patience
    told = False
    while (file := _try(folder)) is None:
        holder = _holder(folder)
        if time.monotonic() >= deadline:
            raise UserError(
                f"{folder}: expected to work here alone, found it held by {holder}; "
                "wait until that run ends, or end it (SIGTERM lets it save)"
            )
        if not told:
            logger.info("%s is held by %s: waiting up to %.0f seconds", folder, holder, patience)
            told = True
        time.sleep(POLL_S)
    return file


def _try(folder: Path) -> int | None:
    """The lock, or None while another process has it. The last holder may remove the folder between any two calls."""
    path = folder / FILE
    folder.mkdir(parents=True, exist_ok=True)
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except FileNotFoundError:
        return None
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(file).st_ino != os.stat(path).st_ino:
            raise FileNotFoundError(path)  # the lock is of a file that is gone
    except (BlockingIOError, PermissionError, FileNotFoundError):
        os.close(file)
        return None
    except OSError as error:
        os.close(file)
        raise UserError(
            f"{path}: expected a disk that can lock files, found: {error.strerror}; put .scratch on another one"
        ) from None
    note = {"pid": os.getpid(), "host": socket.gethostname(), "since": f"{datetime.now():%Y-%m-%d %H:%M:%S}"}
    os.ftruncate(file, 0)
    os.pwrite(file, json.dumps(note).encode(), 0)
    return file


def _holder(folder: Path) -> str:
    try:
        note = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return f"process {note['pid']} on {note['host']} since {note['since']}"
    except (OSError, ValueError):
        return "another process"
