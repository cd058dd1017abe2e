"""A fresh clone of the project in a temporary folder, used as a stranger would: not root, unknown to Git."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from recap.params import load_all
from tests.unprivileged import obey_file_modes

ROOT = Path(__file__).parent.parent
IDENTITY = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "recap"), ("EMAIL", "recap@localhost"))
}

BENCHMARKS = tuple(load_all(ROOT / "profiles" / "smoke.yaml").benchmarks)
# The stages of a run: those from one on that a change makes stale, and all of them.
FROM_FINETUNE = ["finetune", "merge", *(f"{v}@{b}" for v in ("answer", "score") for b in BENCHMARKS), "report"]
FROM_PRETRAIN = ["pretrain", *FROM_FINETUNE]
FROM_SEED = ["process", *FROM_PRETRAIN]  # the processed corpus comes out the same, unless its recipe draws
FROM_PROCESS = ["process", "quality", *FROM_PRETRAIN]
# Outputs that are durations, and the page that shows them.
TIMED = ("data/timings/", "data/report/")
ALL_STAGES = ["prepare", "align@raw", "explore", "check", "caption", "align@blip2", *FROM_PROCESS]


class Clone:
    """The project's files as they are in the working tree, committed to a repository of their own.

    Commands run as a user who is not root, with an empty HOME. Git knows nobody there; `dvc` alone is given an
    identity, because `dvc exp run` by itself asks for one.
    """

    def __init__(self, folder: Path, profile: str | None = "smoke") -> None:
        self._settle(folder)
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, capture_output=True, check=True,
        ).stdout.decode()  # fmt: skip
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                target = self.root / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, target)
        if profile:
            shutil.copy(self.root / f"profiles/{profile}.yaml", self.root / "params.yaml")
        self.run("git", "init", "-q", "-b", "main")
        self.commit("start")

    @classmethod
    def of_remote(cls, url: str, folder: Path) -> "Clone":
        """What `git clone` gives to somebody else."""
        clone = cls.__new__(cls)
        clone._settle(folder)
        subprocess.run(["git", "clone", "-q", url, str(clone.root)], env=clone.env, check=True)
        return clone

    def _settle(self, folder: Path) -> None:
        self.root = folder / "clone"
        self.first_outputs: dict[str, str] = {}
        home = folder / "home"
        home.mkdir(parents=True)
        self.env = {
            "HOME": str(home),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(self.root / "src"),
            "OMP_NUM_THREADS": "1",
            "LANG": "C.UTF-8",
        }

    def run(self, *command: str, check: bool = True, signed: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a command in the clone; with `signed`, as somebody whom Git knows."""
        done = subprocess.run(
            command, cwd=self.root, env={**self.env, **(IDENTITY if signed else {})}, preexec_fn=obey_file_modes,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{' '.join(command)}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done

    def commit(self, message: str) -> None:
        self.run("git", "add", "-A")
        self.run("git", "commit", "-qm", message, signed=True)

    def borrow_environment(self) -> None:
        """Let `make` find the environment that runs the tests, so that it need not install one."""
        (self.root / ".venv").symlink_to(Path(sys.executable).parent.parent)
        (self.root / ".venv" / ".ready").touch()

    def dvc(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "dvc", *arguments, check=check, signed=True)

    def kill_when(self, sign: str, *arguments: str, only_dvc: bool = False, timeout_s: float = 900) -> None:
        """Start `dvc ...` and kill -9 it as soon as a file matches the pattern `sign`, with or without its children."""
        process = subprocess.Popen(
            [sys.executable, "-m", "dvc", *arguments], cwd=self.root, env=self.env, start_new_session=True,
            preexec_fn=obey_file_modes, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + timeout_s
        while not any(path.stat().st_size for path in self.root.glob(sign)):
            assert process.poll() is None, f"dvc {' '.join(arguments)} ended before {sign} appeared"
            assert time.monotonic() < deadline, f"{sign} did not appear in {timeout_s} s"
            time.sleep(0.02)
        if only_dvc:
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def outputs(self) -> dict[str, str]:
        """SHA-256 of everything that stages made, by path, but durations and the page that shows them."""
        made = self.digests("data/**/*", "models/[!t]*/**/*", "metrics/**/*", "plots/**/*")
        return {path: digest for path, digest in made.items() if not path.startswith(TIMED)}

    def digests(self, *patterns: str) -> dict[str, str]:
        """SHA-256 of every file that matches, by path."""
        files = {path for pattern in patterns for path in self.root.glob(pattern) if path.is_file()}
        return {
            str(path.relative_to(self.root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(files)
        }


def ran(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The stages that a dvc command executed, in order."""
    return re.findall(r"Running stage '([^']+)'", done.stdout)
