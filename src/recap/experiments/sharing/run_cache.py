"""What DVC's run-cache needs beside the outputs that DVC tracks: metrics and plots, which are in Git.

`dvc push --run-cache` sends the notes of runs, which name metrics and plots by their hash, but not those files; a stage
that has any then runs again on the next machine, although all its outputs are there. They are small, and go along.
"""

from pathlib import PurePosixPath
from typing import Any

from recap.experiments.git import git
from recap.experiments.locked import locked_stages


def push_kept(repo: Any, commits: list[str], jobs: int | None) -> None:
    """Push the objects of outputs that are in Git, of some experiments, as far as this cache has them.

    Args:
        repo: The `dvc.repo.Repo`.
        commits: Those of the experiments.
        jobs: Files at a time; None: DVC chooses.

    Raises:
        dvc.exceptions.UploadError: Some did not arrive.
    """
    from dvc.exceptions import UploadError

    objects = _here(repo, _in_git(commits))
    failed = repo.cloud.push(objects | _members(repo, objects), jobs=jobs).failed
    if failed:
        raise UploadError(len(failed))


def pull_kept(repo: Any, commits: list[str], jobs: int | None) -> None:
    """Pull the objects that `push_kept` pushes, unless they are here.

    Raises:
        dvc.exceptions.DownloadError: Some did not arrive.
    """
    from dvc.exceptions import DownloadError

    objects = _in_git(commits)
    failed = _pull_absent(repo, objects, jobs)
    # Which files a folder has is known when its own object is here.
    failed |= _pull_absent(repo, _members(repo, _here(repo, objects)), jobs)
    if failed:
        raise DownloadError(len(failed))


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


def _pull_absent(repo: Any, objects: set[Any], jobs: int | None) -> set[Any]:
    return set(repo.cloud.pull(objects - _here(repo, objects), jobs=jobs).failed)
