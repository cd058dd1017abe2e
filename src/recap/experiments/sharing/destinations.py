"""Where runs are pushed to and pulled from: DVC's default remote, which has their artifacts, and a Git remote."""

from typing import Any

from recap.experiments.git import asked
from recap.experiments.sharing.remote import CONFIG
from recap.experiments.sharing.urls import public_url, service_of
from recap.runtime.errors import UserError


def check_remote(repo: Any, *, push: bool) -> None:
    """Raises a UserError unless there is a default remote that DVC can speak to, and push to if that is wanted.

    Args:
        repo: The `dvc.repo.Repo`.
    """
    name = repo.config["core"].get("remote")
    if name is None:
        raise UserError(f"{CONFIG}: expected a default remote, found none; make remote R=URL sets one up")
    url = repo.config["remote"][name]["url"]
    if service_of(str(url)).read_only and push:
        raise UserError(
            f"{name} ({url}): expected a remote to push to, found one that is read-only; "
            f"`dvc remote modify --local {name} url FOLDER` names the folder behind it, in one clone alone"
        )


def git_address(git_remote: str) -> str:
    """The URL of a Git remote, without secrets.

    Raises:
        UserError: There is no such remote.
    """
    address = asked("remote", "get-url", git_remote)
    if address is None:
        named = public_url(git_remote)
        raise UserError(f"{named}: expected a Git remote by its name, found none; git remote add NAME URL")
    return public_url(address)
