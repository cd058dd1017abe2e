"""What sharing costs: the time of each step, and the files and bytes that lie in a cache."""

import subprocess
import time
from typing import Any

from tests.processes import cpu_seconds


class Steps:
    """Runs the commands of one user, and says how long they took.

    Attributes:
        title: What the steps are of.
        told: A line per step, for people: seconds, and seconds of processors.
    """

    def __init__(self, title: str, user: Any) -> None:
        self.title = title
        self.told: list[str] = []
        self._user = user
        self._total = 0.0, 0.0

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        start, start_cpu = time.monotonic(), cpu_seconds()
        done: subprocess.CompletedProcess[str] = self._user.run(*command)
        took = time.monotonic() - start, cpu_seconds() - start_cpu
        self._total = self._total[0] + took[0], self._total[1] + took[1]
        self._tell(*took, " ".join(command))
        return done

    def weigh(self, what: str) -> None:
        """Note what DVC's cache of the user holds: files of runs, and the run-cache's notes."""
        cache = self._user.root / ".dvc" / "cache"
        sizes = [path.stat().st_size for path in cache.rglob("*") if path.is_file()]
        notes = sum(path.is_file() for path in (cache / "runs").rglob("*"))
        self.told.append(f"{self.title}: {what}: {sum(sizes) / 1e6:.1f} MB, {len(sizes)} files, {notes} of them notes")

    def sum(self) -> None:
        self._tell(*self._total, "together")

    def _tell(self, seconds: float, cpu_seconds: float, what: str) -> None:
        self.told.append(f"{self.title}: {seconds:6.1f} s, {cpu_seconds:5.1f} s of processors: {what}")
