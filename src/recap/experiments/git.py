"""What experiments ask of Git: the commit they start from, the branch, an identity, files of a commit."""

import os
import subprocess
from pathlib import Path

from recap.runtime.errors import UserError, one_line

# Signs experiments where Git knows nobody.
NAME, EMAIL = "recap", "recap@localhost"


def git(*arguments: str, stdin: str | None = None, index: Path | None = None) -> str:
    """The output of a Git command, without its last line break.

    Args:
        arguments: The command.
        stdin: What it reads.
        index: A file to use in place of the repository's index.

    Raises:
        UserError: Git refuses; with its own message.
    """
    environment = None if index is None else os.environ | {"GIT_INDEX_FILE": str(index)}
    done = subprocess.run(
        ["git", *arguments], input=stdin, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise UserError(f"git {' '.join(arguments)}: {one_line(done.stderr)}")
    return done.stdout.rstrip("\n")


def asked(*arguments: str) -> str | None:
    """The output of a Git query; None where Git answers that there is no such thing."""
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return None if done.returncode else done.stdout.strip()


def resolved(revision: str) -> str | None:
    """The full hash of what a revision or a ref stands for; None where there is no such thing."""
    return asked("rev-parse", "--verify", "--quiet", revision)


def head_commit() -> str:
    """The full hash of the commit that experiments start from.

    Raises:
        UserError: The folder is in no Git repository, or nothing has been committed yet.
    """
    commit = resolved("HEAD^{commit}")
    if commit is None:
        raise UserError(
            "expected a Git repository with a commit, found none here; experiments start from a commit: `git clone` "
            "the project, a ZIP of its files holds none"
        )
    return commit


def head_branch() -> str | None:
    """The full name of the branch that is checked out (refs/heads/main); None on a detached HEAD."""
    return asked("symbolic-ref", "--quiet", "HEAD")


def identity() -> dict[str, str]:
    """Environment variables under which DVC may commit; what is configured or set stays as it is.

    DVC commits through libgit2, which wants both a name and an address, and reads neither from the system.
    """
    found = {"NAME": asked("config", "user.name") or NAME, "EMAIL": asked("config", "user.email") or EMAIL}
    names = [(f"GIT_{role}_{part}", found[part]) for role in ("AUTHOR", "COMMITTER") for part in found]
    return {name: os.environ.get(name) or value for name, value in names}


def file_at(commit: str, path: str) -> str | None:
    """The text of a file that Git holds in a commit; None where the commit has none."""
    done = subprocess.run(["git", "show", f"{commit}:./{path}"], capture_output=True, check=False)
    return None if done.returncode else done.stdout.decode("utf-8")
