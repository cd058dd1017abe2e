"""Edits that a `dvc exp run` which was killed had set aside: it stashes them for a moment before it runs."""

from pathlib import Path
from tempfile import TemporaryDirectory

from recap.experiments.git import git, resolved
from recap.experiments.refs import RUNNING
from recap.params import PARAMS_PATH
from recap.runtime.errors import UserError


def last_stash() -> str | None:
    """The commit that `git stash pop` would take."""
    return resolved("refs/stash")


def take_back(commit: str, before: str | None) -> None:
    """Put the files as the stash of a killed DVC has them, and drop it; nothing where there is none.

    Args:
        commit: What was checked out when DVC started.
        before: The last stash at that time.

    Raises:
        UserError: The files are neither as that commit has them nor as the stash does: somebody went on with them.
    """
    stash = last_stash()
    if (
        stash is None
        or stash == before
        or resolved("refs/stash@{1}") != before
        or resolved(f"{stash}^") != commit
        or resolved(RUNNING)  # the edits are back
    ):
        return
    if _differ_from(commit) and _differ_from(stash):
        raise UserError(
            "expected the files as a killed `dvc exp run` left them, which had stashed their edits, found others; "
            "`git stash show -p` shows the edits, `git stash pop` takes them back, `git stash drop` gives them up"
        )
    git("restore", f"--source={stash}", "--worktree", "--", ":/")
    git("stash", "drop", "--quiet")
    print("a killed `dvc exp run` had set edits aside with `git stash`: they are back", flush=True)


def _differ_from(commit: str) -> bool:
    """Whether any tracked file differs from a commit's; but parameters, into which DVC writes the run's.

    Asked with an index of its own. DVC writes a file twice within a tick of the clock, and where the length is the same
    Git takes the second for the first.
    """
    with TemporaryDirectory() as folder:
        index = Path(folder) / "index"
        git("read-tree", commit, index=index)
        return bool(git("diff", "--name-only", "--", ":/", f":(exclude){PARAMS_PATH}", index=index))
