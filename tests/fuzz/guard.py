"""Runs a reader where it can neither hang, nor take all memory, nor write or run anything unnoticed.

Python's own writing is seen at once, wherever it goes; libraries that write by themselves (pyarrow, SQLite) are not, so
that tests also look at what is there afterwards.
"""

import contextlib
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Seconds of computing, so that a busy machine is no fault; and seconds in all, which only waiting takes.
COMPUTING_S, WAITING_S = 5, 60
MEMORY_BYTES = 3 << 30

RUNS_CODE = {
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "subprocess.Popen", "pty.spawn",
    "socket.connect", "pickle.find_class",
}  # fmt: skip
CHANGES_FILES = {
    "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.chown", "os.truncate",
}  # fmt: skip
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Breach(BaseException):
    """What no input may bring about. No `Exception`: nothing is to take it for a fault of its own."""


_allowed: tuple[Path, ...] | None = None
_hook_is_there = False


@contextlib.contextmanager
def confined(*places: Path) -> Iterator[None]:
    """Raises: Breach: The body computes or waits too long, starts something, or writes outside of `places`."""
    global _allowed
    _watch()
    before = tempfile.tempdir
    scratch = places[0].parent / "scratch"
    scratch.mkdir(exist_ok=True)
    tempfile.tempdir = str(scratch)
    handlers = [(number, signal.signal(number, _too_long)) for number in (signal.SIGPROF, signal.SIGALRM)]
    memory = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    try:
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, memory[1]))
        signal.setitimer(signal.ITIMER_PROF, COMPUTING_S)
        signal.setitimer(signal.ITIMER_REAL, WAITING_S)
        _allowed = (*(place.resolve() for place in places), scratch.resolve())
        yield
    finally:
        _allowed = None
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, memory)
        for number, handler in handlers:
            signal.signal(number, handler)
        tempfile.tempdir = before


def _too_long(*_: Any) -> None:
    raise Breach(f"took more than {COMPUTING_S} s of computing, or {WAITING_S} s")


def _watch() -> None:
    """A hook cannot be taken away again: outside of `confined` it lets everything pass."""
    global _hook_is_there
    if not _hook_is_there:
        sys.addaudithook(_audit)
        _hook_is_there = True


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if _allowed is None:
        return
    if event in RUNS_CODE:
        raise Breach(f"{event}: {args!r:.200}")
    if event == "open":
        path, mode, flags = args
        writes = flags & WRITING if isinstance(flags, int) else any(letter in (mode or "r") for letter in "wax+")
        changed = [path] if writes and not isinstance(path, int) else []
    elif event in CHANGES_FILES:
        changed = [arg for arg in args if isinstance(arg, str | bytes | os.PathLike)]
        if event in ("os.link", "os.symlink"):
            changed = changed[1:]
    else:
        return
    # `shutil.rmtree` names what it removes below a folder that it holds open.
    folder = args[-1] if event in CHANGES_FILES and isinstance(args[-1], int) and args[-1] >= 0 else None
    base = Path.cwd() if folder is None or event in ("os.chown", "os.truncate") else Path(f"/proc/self/fd/{folder}")
    for path in changed:
        file = Path(os.path.realpath(base / os.fsdecode(path)))
        if not any(file.is_relative_to(place) for place in _allowed) and file != Path(os.devnull):
            raise Breach(f"{event}: {file}")
