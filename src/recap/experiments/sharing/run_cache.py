"""What DVC's run-cache needs beside the outputs that DVC tracks: metrics and plots, which are in Git.

`dvc push --run-cache` sends the notes of runs, which name metrics and plots by their hash, but not those files; a stage
that has any then runs again on the next machine, although all its outputs are there. They are small, and go along.
"""

from typing import Any

from recap.experiments.sharing.objects import Object, objects_of, pull_objects, push_objects


def push_kept(repo: Any, commits: list[str], jobs: int | None) -> None:
    """Push metrics and plots of some experiments, as far as this cache has them.

    Args:
        repo: The `dvc.repo.Repo`.
        commits: Those of the experiments.
        jobs: Files at a time; None: DVC chooses.

    Raises:
        dvc.exceptions.UploadError: Some did not arrive.
    """
    push_objects(repo, [each for each in _kept(repo, commits) if repo.cache.local.exists(each.oid)], jobs)


def pull_kept(repo: Any, commits: list[str], jobs: int | None) -> None:
    """Pull what `push_kept` pushes.

    Raises:
        dvc.exceptions.DownloadError: Some did not arrive.
    """
    pull_objects(repo, _kept(repo, commits, repo.cloud.get_remote_odb(command="pull")), jobs)


def _kept(repo: Any, commits: list[str], remote: Any = None) -> list[Object]:
    objects = [each for commit in commits for each in objects_of(repo, commit, in_git=True, remote=remote)]
    return [each for each in objects if each.in_git]
