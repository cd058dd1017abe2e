"""The reports of finished experiments, one page each in reports/, copied out of DVC's cache."""

import hashlib
from pathlib import Path

from recap.experiments.locked import locked_stages, output_digest
from recap.io import atomic_path
from recap.runtime.errors import UserError

REPORT = "data/report/index.html"
REPORTS = Path("reports")


def save_report(name: str, commit: str) -> Path:
    """Put the page of an experiment into reports/<name>.html, unless it is there already.

    The page is written anew: a copy of a cached file would be read-only, as files in DVC's cache are.

    Raises:
        UserError: The page is neither in the cache nor in a remote.
    """
    from dvc.exceptions import DvcException

    from recap.comparison.files import files_at

    target = REPORTS / f"{name}.html"
    if target.is_file() and _md5(target.read_bytes()) == output_digest(locked_stages(commit), REPORT):
        return target
    try:
        page = files_at(commit).read_bytes(REPORT)
    except (FileNotFoundError, DvcException):
        raise UserError(
            f"{name}: expected {REPORT} in DVC's cache or a remote, found it in neither (a Git worktree has a cache of "
            f"its own, unless `dvc cache dir --local` names one for both); `dvc exp apply {name}` and `dvc repro` make "
            "it again"
        ) from None
    with atomic_path(target) as draft:
        draft.write_bytes(page)
    return target


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
