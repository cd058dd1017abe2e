"""Whether a `dvc repro` or `dvc exp run` of the user's is at work in this folder.

`dvc exp run` starts by putting the outputs as dvc.lock has them, and asks nobody: what a stage is writing meanwhile is
removed under it. DVC's own lock is free while a stage runs, but it notes which process reads and writes which path.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

from recap.runtime.errors import UserError

NOTE = Path(".dvc/tmp/rwlock")


def refuse_beside_dvc() -> None:
    """Raises a UserError that names the DVC process which runs a stage in this folder, if there is one."""
    try:
        noted = json.loads(NOTE.read_text(encoding="utf-8"))
        readers = [holder for holders in noted.get("read", {}).values() for holder in holders]
        holders = [(holder["pid"], holder["cmd"]) for holder in (*noted.get("write", {}).values(), *readers)]
    except (FileNotFoundError, ValueError, LookupError, TypeError, AttributeError):  # none ever, or a torn one
        return
    for pid, command in holders:
        if _is_alive(pid, command):
            raise UserError(
                f"expected no other DVC at work in this folder, found process {pid} in a stage "
                f"({_command(command)}); wait for it or stop it, or work in a second clone or `git worktree`"
            )


def living_dvcs() -> Iterator[tuple[int, Path]]:
    """Processes of DVC, each with the folder that it works in; where the system has no /proc, none is seen."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            folder, words = os.readlink(process / "cwd"), _words(int(process.name))
        except OSError:  # it ended, or is somebody else's
            continue
        if any(word.endswith("dvc/__main__.py") or os.path.basename(word) == "dvc" for word in words):
            yield int(process.name), Path(folder)


def _is_alive(pid: int, noted: str) -> bool:
    """Of a killed DVC the note stays, and another process may have its number; DVC takes the note back itself."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        # Of `python -m dvc repro` the note has a path in place of -m dvc; the last word is the same.
        return _words(pid)[-1:] in ([], noted.split(" ")[-1:])
    except OSError:
        return True


def _words(pid: int) -> list[str]:
    """The command of a process."""
    return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes()).rstrip("\0").split("\0")


def _command(noted: str) -> str:
    """`dvc repro` of `/some/where/dvc/__main__.py repro`."""
    _, *arguments = noted.split(" ")
    return " ".join(["dvc", *arguments])
