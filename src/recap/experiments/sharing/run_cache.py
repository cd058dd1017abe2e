"""What DVC's run-cache needs beside the outputs that DVC tracks: metrics and plots, which are in Git.

`dvc push --run-cache` sends the notes of runs, which name metrics and plots by their hash, but not those files; a stage
that has any then runs again on the next machine, although all its outputs are there. They are small, and go along.
"""

from typing import Any

from recap.experiments.git import git
from recap.experiments.locked import locked_stages


def kept_for_run_cache(repo: Any, commits: list[str], *, here: bool = True) -> set[Any]:
    """The objects of outputs that are in Git, of some experiments.

    Args:
        repo: The `dvc.repo.Repo`.
        commits: Those of the experiments.
        here: Only those that this cache has; else those that it lacks.

    Returns:
        `HashInfo`s, for `repo.cloud.push` and `repo.cloud.pull`.
    """
    from dvc_data.hashfile.hash_info import HashInfo

    found = set()
    for commit in commits:
        in_git = set(git("ls-tree", "-r", "--name-only", commit).splitlines())
        for stage in locked_stages(commit).values():
            found |= {HashInfo("md5", out["md5"]) for out in stage.get("outs") or [] if out["path"] in in_git}
    return {each for each in found if repo.cache.local.exists(each.value) == here}
