"""What sharing costs: the seconds of each step, and the files and bytes that lie in a cache."""

import subprocess
import time
from typing import Any


class Steps:
    """Runs commands, and says how long they took.

    Attributes:
        title: What the steps are of.
        told: A line per step, for people.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.told: list[str] = []

    def run(self, user: Any, *command: str) -> subprocess.CompletedProcess[str]:
        start = time.monotonic()
        done: subprocess.CompletedProcess[str] = user.run(*command)
        self.told.append(f"{self.title}: {time.monotonic() - start:5.1f} s  {' '.join(command)}")
        return done

    def weigh(self, user: Any, what: str) -> None:
        """Note what DVC's cache of a user holds: files of runs, and the run-cache's notes."""
        cache = user.root / ".dvc" / "cache"
        sizes = [path.stat().st_size for path in cache.rglob("*") if path.is_file()]
        notes = sum(path.is_file() for path in (cache / "runs").rglob("*"))
        self.told.append(
            f"{self.title}: {what}: {sum(sizes) / 1e6:.1f} MB in {len(sizes)} files, {notes} of the run-cache"
        )
