"""Edits that a `dvc exp run` which was killed had set aside: it stashes them for a moment before it runs."""

from recap.experiments.git import asked, git
from recap.params import PARAMS_PATH
from recap.runtime.errors import UserError

# DVC's ref of an experiment that runs in the workspace: from then on the edits are back.
RUNNING = "refs/exps/exec/EXEC_BASELINE"


def last_stash() -> str | None:
    """The commit that `git stash pop` would take."""
    return asked("rev-parse", "--verify", "--quiet", "refs/stash")


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
        or asked("rev-parse", "--verify", "--quiet", "refs/stash@{1}") != before
        or asked("rev-parse", "--verify", "--quiet", f"{stash}^") != commit
        or asked("rev-parse", "--verify", "--quiet", RUNNING)
    ):
        return
    # DVC had written the run's recipe and seed, or not yet.
    but_params = ("--", ":/", f":(exclude){PARAMS_PATH}")
    if git("diff", "--name-only", commit, *but_params) and git("diff", "--name-only", stash, *but_params):
        raise UserError(
            "expected the files as a killed `dvc exp run` left them, which had stashed their edits, found others; "
            "`git stash show -p` shows the edits, `git stash pop` takes them back, `git stash drop` gives them up"
        )
    git("restore", f"--source={stash}", "--worktree", "--", ":/")
    git("stash", "drop", "--quiet")
    print("a killed `dvc exp run` had set edits aside with `git stash`: they are back", flush=True)
