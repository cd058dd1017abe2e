"""The files of a revision, by their paths below the project's root: those in Git, and DVC's outputs."""

import subprocess
from pathlib import Path

from dvc.api import DVCFileSystem
from fsspec import AbstractFileSystem
from fsspec.implementations.dirfs import DirFileSystem


def files_at(commit: str | None) -> AbstractFileSystem:
    """What a commit holds; None: the workspace.

    DVC counts paths from the root of the Git repository, in which the project may be a folder among others.
    """
    command = ["git", "rev-parse", "--show-prefix"]
    folder = subprocess.run(command, capture_output=True, text=True, check=False).stdout.rstrip("\n")
    if commit is None or not folder:
        return DVCFileSystem(rev=commit)
    return DirFileSystem(f"/{Path(folder)}", DVCFileSystem(rev=commit, subrepos=True))
