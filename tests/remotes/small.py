"""A project of one stage that is shared and pulled in seconds: what transfers do can be tried on it often."""

import subprocess
from pathlib import Path
from typing import Any

from recap.experiments.sharing.remote import NAME
from tests.experiments.stub_project import Project
from tests.remotes.servers import Served

SHARE = ("python", "-m", "recap.experiments.sharing.push", "baseline", "blip2")
PULL = ("python", "-m", "recap.experiments.sharing.pull", "baseline", "blip2")


# Options that say where a remote lies, and not who comes.
ADDRESS = ("url", "endpointurl")


def log_in(user: Any, served: Served, *, address: bool = True) -> None:
    """Say how to reach a remote, in .dvc/config.local alone; without `address` only what .dvc/config does not say."""
    user.env.update(served.environment)
    for option, value in {"url": served.url, **served.local}.items():
        if address or option not in ADDRESS:
            user.run("dvc", "remote", "modify", "--local", NAME, option, value)


def make_remote(project: Any, url: str, *options: str, check: bool = True) -> Any:
    return project.run("python", "-m", "recap.experiments.sharing.remote", url, *options, check=check)


def copy_with_origin(project: Project, folder: Path) -> Project:
    """A copy of a project in a folder, with a bare Git remote of its own beside it."""
    (folder / "author").mkdir()
    copy = project.copy(folder / "author")
    copy.git("init", "-q", "--bare", "-b", "main", str(folder / "origin.git"))
    copy.git("remote", "add", "origin", str(folder / "origin.git"))
    return copy


def stranger_of(project: Project, folder: Path, served: Served, *, address: bool = True) -> Project:
    """A clone of what the author pushed to Git, by somebody who may log in; for `address` see `log_in`."""
    other = Project(folder / "project")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "project").mkdir()
    project.run("git", "clone", "-q", project.git("remote", "get-url", "origin"), str(other.root))
    log_in(other, served, address=address)
    return other


def error_of(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that a command ended with."""
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert [line for line in lines if line.startswith("error: ")] == lines[-1:]
    return lines[-1]


def cached(project: Project) -> dict[str, bytes]:
    """The objects of a project's cache."""
    root = project.root / ".dvc/cache/files/md5"
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
