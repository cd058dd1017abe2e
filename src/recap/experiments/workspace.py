"""The workspace around a series of experiments: branch, edits and parameters are the user's, also after a kill.

`dvc exp run` works in the workspace: it stashes edits for a moment, writes its overrides into params.yaml, takes HEAD
off the branch and stages what stages wrote. A run that is killed leaves all that so. What was there is written down
first, and put back by whoever comes next.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from recap.experiments.busy import refuse_beside_dvc
from recap.experiments.git import asked, git, head_branch, head_commit, resolved
from recap.experiments.refs import RUNNING
from recap.experiments.running import Run, dvc
from recap.experiments.set_aside import last_stash, take_back
from recap.experiments.torn import mend_torn_files
from recap.io import read_json, write_json
from recap.params import PARAMS_PATH, read_yaml
from recap.runtime.errors import UserError
from recap.runtime.scratch import SCRATCH_ROOT

FOLDER = SCRATCH_ROOT / "experiments"
NOTE = FOLDER / "interrupted.json"


@contextmanager
def alone() -> Iterator[None]:
    """Hold the workspace, without torn files, until the block ends.

    If the process is killed, its lock lasts as long as the DVC it started.

    Raises:
        UserError: Another process holds it, a DVC that no `make` started works in it, Git has no commit of it, a merge
            or a conflict is open; see also `mend_torn_files`.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError("another `make` runs experiments in this folder; wait for it, or stop it") from None
        head_commit()  # or it says that there is none
        refuse_beside_dvc()
        # DVC resets the index, and with it what Git knows of a merge.
        if resolved("MERGE_HEAD"):
            raise UserError("expected no merge under way; `git commit` ends it, `git merge --abort` gives it up")
        if conflicts := asked("diff", "--name-only", "--diff-filter=U"):
            raise UserError(
                f"{conflicts.splitlines()[0]}: expected no file with a conflict, found two versions that Git could not "
                "merge; `git status` says how to end or give up what brought them"
            )
        mend_torn_files()
        os.set_inheritable(stream.fileno(), True)
        yield


def put_back() -> bool:
    """Put back branch, edits, recipe and seed as a series that did not end left word of them; whether there was one.

    What was changed by hand since then stays as it is.

    Raises:
        UserError: A DVC is at work here; see also `take_back`.
    """
    if not NOTE.is_file():
        return False
    refuse_beside_dvc()
    note = read_json(NOTE)
    cut = head_branch() is None and (note["branch"] is not None or resolved(RUNNING))
    take_back(note["commit"], note["stash"])
    _return_to_branch(note["branch"], note["commit"])
    if note["run"] is not None and _chosen() == note["run"]:
        set_params(**note["chosen"])
    if cut:
        # DVC had staged the run's params.yaml, and would refuse to start with another one in the workspace.
        git("reset", "--quiet")
    NOTE.unlink()
    return True


@contextmanager
def kept() -> Iterator[None]:
    """Put the workspace's branch, recipe and seed back if the block fails, is interrupted or is killed."""
    put_back()
    found = {"branch": head_branch(), "commit": head_commit(), "stash": last_stash(), "chosen": _chosen(), "run": None}
    write_json(NOTE, found)
    try:
        yield
    except BaseException:
        # What keeps this from working is said when the next one tries; the first failure matters more.
        with suppress(UserError):
            put_back()
        raise
    NOTE.unlink()


def note_run(run: Run) -> None:
    """Write down what the run that starts now sets."""
    write_json(NOTE, {**read_json(NOTE), "run": {"recipe": run.recipe, "seed": run.seed}})


def leave_at(run: Run, commit: str) -> None:
    """Make the workspace that of an experiment: its recipe and seed, dvc.lock, metrics, and outputs from the cache."""
    from dvc.repo import Repo

    set_params(run.recipe, run.seed)
    with Repo() as repo:
        restore_in_git(repo, commit)
    if dvc("checkout", "--quiet", "--force", "--allow-missing"):
        raise UserError(f"dvc checkout stopped; its own message stands above. `dvc exp apply {run.name}` tries again")


def restore_in_git(repo: Any, commit: str) -> None:
    """Put dvc.lock and the outputs that Git has, metrics and plots, as a commit has them."""
    uncached = [out for out in repo.index.outs if not out.use_cache]
    for out in uncached:
        # Git would leave a file that the last run has and this one has not.
        out.remove()
    paths = [repo.fs.relpath(out.fs_path, repo.root_dir) for out in uncached]
    in_git = git("ls-tree", "-r", "--name-only", commit, "--", "dvc.lock", *paths).splitlines()
    git("restore", f"--source={commit}", "--worktree", "--", *in_git)


def set_params(recipe: str, seed: int) -> None:
    """Write recipe and seed into params.yaml as `dvc exp run -S` does: nothing else in the file changes."""
    from dvc.utils.hydra import apply_overrides

    if _chosen() != {"recipe": recipe, "seed": seed}:
        apply_overrides(PARAMS_PATH, [f"recipe={recipe}", f"seed={seed}"])


def _chosen() -> dict[str, Any]:
    params = read_yaml(PARAMS_PATH)
    return {name: params[name] for name in ("recipe", "seed")}


def _return_to_branch(branch: str | None, commit: str) -> None:
    """Back to the branch, if HEAD still is where a killed `dvc exp run` left it: on `commit`, or one that DVC added."""
    if branch is None or head_branch() is not None:
        return
    if head_commit() == commit or resolved("HEAD^") == commit or asked("for-each-ref", "--points-at=HEAD", "refs/exps"):
        git("symbolic-ref", "HEAD", branch)
