"""What a DVC that was killed left half-written, and how it is mended.

DVC writes dvc.lock and its note of who reads and writes what in place; a kill meanwhile leaves a beginning of the file,
and no DVC starts any more. Nothing dear is lost with it: the run-cache knows every stage that ended.
"""

import json
import re
from pathlib import Path

from recap.experiments.busy import NOTE, living_dvcs
from recap.experiments.git import asked, git
from recap.runtime.errors import UserError

LOCK = Path("dvc.lock")
CONFLICT = re.compile(r"^(<<<<<<<|>>>>>>>) ", re.MULTILINE)


def mend_torn_files() -> None:
    """Remove a torn note; put a torn dvc.lock back as Git has it, or remove one that Git has not. Says what it did.

    Raises:
        UserError: A DVC that is alive may be the one that writes, or Git does not give its dvc.lock.
    """
    found = " and ".join(map(str, torn_files()))
    alive = next((process for process, folder in living_dvcs() if folder == Path.cwd()), None)
    if found and alive is not None:
        raise UserError(
            f"{found}: expected what DVC writes, found a part of it, and a DVC at work in this folder, "
            f"process {alive}; wait for it or stop it, then start again"
        )
    for path in torn_files():
        if path == LOCK and CONFLICT.search(path.read_text(encoding="utf-8", errors="replace")):
            raise UserError(
                f"{path}: expected what DVC writes, found two versions that Git could not merge; "
                f"`git checkout --ours {path}` or `--theirs` takes one, then `git add {path}`"
            )
        kept = NOTE.with_name(f"{path.name}.cut")
        path.replace(kept)
        cure = f"what was left is {kept}"
        if path == LOCK and asked("ls-files", "--error-unmatch", str(LOCK)):
            git("restore", str(LOCK))
            cure += f"; git restore {path}"
        print(f"{path} was cut when a DVC was killed: {cure}", flush=True)


def torn_files() -> list[Path]:
    """Those of the two files that DVC cannot read, in the folder that is worked in."""
    files = {NOTE: _note_is_torn, LOCK: _lock_is_torn}
    return [path for path, is_torn in files.items() if path.is_file() and is_torn()]


def _note_is_torn() -> bool:
    try:
        return not isinstance(json.loads(NOTE.read_text(encoding="utf-8")), dict)
    except ValueError:
        return True


def _lock_is_torn() -> bool:
    """Whether DVC refuses it. Of one that was cut between two stages the run-cache knows the others."""
    from dvc.exceptions import DvcException
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from dvc.utils import strictyaml

    try:
        strictyaml.load(str(LOCK), schema=COMPILED_LOCKFILE_SCHEMA)
    except DvcException:
        return True
    return False
