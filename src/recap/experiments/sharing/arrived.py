"""What did not arrive of a pulled run, or not as it was pushed: named before anything can be trained on it.

DVC compares what comes with its MD5 if it is told to, deletes what differs, counts it as fetched and says nothing; a
missing file is a warning to it. So a run is looked through after each fetch.
"""

from typing import Any

from recap.experiments.sharing.objects import Object, is_sound, is_there, objects_of
from recap.experiments.sharing.urls import public_url
from recap.runtime.errors import UserError


def check_arrived(repo: Any, name: str, commit: str, outputs: list[str] | None, *, complete: bool = True) -> None:
    """Raises a UserError that names what is missing in the default remote, or is not what was pushed.

    Args:
        repo: The `dvc.repo.Repo`, after a fetch that verified what came.
        name: The experiment's.
        commit: The experiment's.
        outputs: What was to come of it; None for everything.
        complete: Whether the fetch ended well. If not, a file that is there and not here was perhaps not reached.
    """
    remote = repo.cloud.get_remote_odb(command="pull")
    wanted = objects_of(repo, commit, outputs, remote=None if complete else remote)
    absent = [each for each in wanted if not repo.cache.local.exists(each.oid)]
    there = {each for each in absent if is_there(remote, each)}
    if missing := [each for each in absent if each not in there]:
        _refuse(repo, name, missing, "missing")
    if corrupted := [each for each in absent if complete or (each.is_list and not is_sound(remote, each))]:
        _refuse(repo, name, corrupted, "corrupted", f"delete {remote.oid_to_path(corrupted[0].oid)} there; then ")


def _refuse(repo: Any, name: str, lost: list[Object], what: str, remedy: str = "") -> None:
    remote = repo.config["core"]["remote"]
    url = public_url(str(repo.config["remote"][remote]["url"]))
    more = len({each.path for each in lost}) - 1
    raise UserError(
        f"{remote} ({url}): expected what was pushed of {name}, found {lost[0].path} (stage {lost[0].stage})"
        f"{f' and {more} more' if more else ''} {what}, and checked nothing out; {remedy}whoever has the run: "
        f"make share RUNS={name}; then again what you typed"
    )
