"""What DVC's run-cache needs beside the outputs that DVC tracks: metrics and plots, which are in Git.

`dvc push --run-cache` sends the notes of runs, which name metrics and plots by their hash, but not those files; a stage
that has any then runs again on the next machine, although all its outputs are there. They are small, and go along.
"""

from pathlib import PurePosixPath
from typing import Any

from recap.experiments.git import git
from recap.experiments.locked import locked_stages


def kept_for_run_cache(repo: Any, commits: list[str]) -> set[Any]:
    """The objects of outputs that are in Git, of some experiments, as far as this cache has them.

    Args:
        repo: The `dvc.repo.Repo`.
        commits: Those of the experiments.

    Returns:
        `HashInfo`s, for `repo.cloud.push`; of a folder its own and those of its files.
    """
    objects = _here(repo, _in_git(commits))
    return objects | _members(repo, objects)


def pull_kept(repo: Any, commits: list[str], jobs: int | None) -> None:
    """Pull what `kept_for_run_cache` says of those who pushed, unless it is here.

    Args:
        repo: The `dvc.repo.Repo`.
        commits: Those of the experiments.
        jobs: Files at a time; None: DVC chooses.
    """
    objects = _in_git(commits)
    repo.cloud.pull(objects - _here(repo, objects), jobs=jobs)
    # Which files a folder has is known when its own object is here.
    members = _members(repo, _here(repo, objects))
    repo.cloud.pull(members - _here(repo, members), jobs=jobs)


def _in_git(commits: list[str]) -> set[Any]:
    """The `HashInfo`s of outputs, files and folders, that are in Git."""
    from dvc_data.hashfile.hash_info import HashInfo

    found = set()
    for commit in commits:
        files = [PurePosixPath(path) for path in git("ls-tree", "-r", "--name-only", commit).splitlines()]
        tracked = {str(path) for file in files for path in (file, *file.parents)}
        for stage in locked_stages(commit).values():
            found |= {HashInfo("md5", out["md5"]) for out in stage.get("outs") or [] if out["path"] in tracked}
    return found


def _here(repo: Any, objects: set[Any]) -> set[Any]:
    return {each for each in objects if repo.cache.local.exists(each.value)}


def _members(repo: Any, objects: set[Any]) -> set[Any]:
    """The objects of the files in those that are folders."""
    from dvc_data.hashfile.tree import Tree

    return {file for each in objects if each.isdir for _, _, file in Tree.load(repo.cache.local, each)}
