"""Whether a `dvc repro` or `dvc exp run` of the user's is at work in this folder.

`dvc exp run` starts by putting the outputs as dvc.lock has them, and asks nobody: what a stage is writing meanwhile is
removed under it. DVC's own lock is free while a stage runs, but it notes which process reads and writes which path.
"""

import json
import os
from pathlib import Path

from recap.runtime.errors import UserError

NOTE = Path(".dvc/tmp/rwlock")


def refuse_beside_dvc() -> None:
    """Raises a UserError that names the DVC process which runs a stage in this folder, if there is one."""
    try:
        noted = json.loads(NOTE.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):  # none ever, or a torn one, which DVC itself tells of
        return
    readers = [holder for holders in noted.get("read", {}).values() for holder in holders]
    for holder in (*noted.get("write", {}).values(), *readers):
        if _is_alive(holder["pid"]):
            raise UserError(
                f"expected no other DVC at work in this folder, found process {holder['pid']} in a stage "
                f"({_command(holder['cmd'])}); wait for it or stop it, or work in a second clone or `git worktree`"
            )


def _is_alive(pid: int) -> bool:
    """Of a killed DVC the note stays; DVC takes it back itself."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _command(noted: str) -> str:
    """`dvc repro` of `/some/where/dvc/__main__.py repro`."""
    _, *arguments = noted.split(" ")
    return " ".join(["dvc", *arguments])
