"""A pipeline to be disturbed: clones that hold its work, `dvc repro` under way in them, and what has to come out equal.

Everything but durations has to: `data/timings`, the page that shows them, and what dvc.lock says of these two.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import chdir
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from threading import Thread
from typing import Any

from ruamel.yaml import YAML

from recap.experiments.torn import torn_files
from tests.clones import IDENTITY, TIMED, Clone
from tests.processes import as_from_a_terminal, wait_for_the_end_of_group

RUNNING = re.compile(r"Running stage '([^']+)'")
# Before dvc names its first stage.
START = "start"
PATIENCE_S = 1800.0

# Takes a row of the table: what was injected, where, what happened.
Note = Callable[[str, str, str], None]


@dataclass(frozen=True)
class Undisturbed:
    """A run that nothing disturbed.

    Attributes:
        clone: Where it was.
        results: See `results`.
        seconds: Of each stage in the order they ran, dvc's own work on its outputs among them.
    """

    clone: Clone
    results: dict[str, Any]
    seconds: dict[str, float]


class Run:
    """`dvc repro` in a process group of its own, on a terminal's terms; what it says is read as it comes.

    Args:
        environment: Added to the clone's.
    """

    def __init__(self, clone: Clone, *, environment: Mapping[str, str] | None = None) -> None:
        self.lines: list[str] = []
        self.stages: dict[str, float] = {START: time.monotonic()}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dvc", "repro"], cwd=clone.root, preexec_fn=as_from_a_terminal,
            env={**clone.env, **IDENTITY, "PYTHONUNBUFFERED": "1", **(environment or {})}, errors="replace",
            start_new_session=True, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            if found := RUNNING.search(line):
                self.stages[found[1]] = time.monotonic()
            self.lines.append(line.rstrip())

    @property
    def under_way(self) -> str:
        """The stage that was named last."""
        return list(self.stages)[-1]

    def reach(self, stage: str, delay: float = 0.0) -> bool:
        """Wait until a stage has been under way for so many seconds; False where the run ended before."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < self.stages.get(stage, deadline) + delay:
            if self.process.poll() is not None:
                return False
            time.sleep(0.01)
        assert stage in self.stages, f"{stage} did not begin in {PATIENCE_S:g} s"
        return True

    def signal(self, number: signal.Signals) -> None:
        """To the whole group, as a terminal sends Ctrl-C."""
        os.killpg(self.process.pid, number)

    def stage_process(self) -> int:
        """The process of the stage that is under way; a shell may stand between dvc and it."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            for child in _children(self.process.pid):
                for process in (child, *_children(child)):
                    if _is_stage(process):
                        return process
            assert self.process.poll() is None, "dvc ended and started no stage"
            time.sleep(0.01)
        raise AssertionError("dvc started no stage")

    def worker_process(self) -> int:
        """A process that loads data for the stage that trains: it has the command of the stage, which forked it."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            for child in _children(self.stage_process()):
                if _is_stage(child):
                    return child
            time.sleep(0.002)
        raise AssertionError("nothing loads data")

    def end(self) -> int:
        """Wait for it and for all it started; returns dvc's exit code."""
        code = self.process.wait(timeout=PATIENCE_S)
        wait_for_the_end_of_group(self.process.pid, PATIENCE_S)
        self._reader.join()
        return code

    @property
    def said(self) -> str:
        return "\n".join(self.lines)

    @property
    def errors(self) -> list[str]:
        """What a user would read last: the lines of stages and of dvc that name an error."""
        return [line for line in self.lines if line.lower().startswith(("error:", "interrupted"))]


def _children(process: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:
        return []


def _is_stage(process: int) -> bool:
    """Whether it is `python stages/...`, or of such a one's command."""
    try:
        program, *arguments = Path(f"/proc/{process}/cmdline").read_text().split("\0")
    except OSError:
        return False
    return Path(program).name.startswith("python") and any(each.startswith("stages/") for each in arguments)


def run_undisturbed(clone: Clone) -> Undisturbed:
    run = Run(clone)
    assert run.end() == 0, run.said[-3000:]
    moments = [*run.stages.items(), ("", time.monotonic())]
    return Undisturbed(clone, results(clone), {stage: end - begin for (stage, begin), (_, end) in pairwise(moments)})


def results(clone: Clone) -> dict[str, Any]:
    """All that is meant to be equal: every file of the outputs and of unfinished work by digest, and dvc.lock."""
    files = clone.outputs() | clone.digests(".scratch/*/*/**/*")
    lock = YAML(typ="safe").load(clone.root / "dvc.lock")["stages"]
    stages = {
        name: {kind: _equal_entries(stage.get(kind, ())) for kind in ("deps", "outs")} | {"cmd": stage["cmd"]}
        for name, stage in lock.items()
        if name != "report"
    }
    return files | {f"dvc.lock:{name}": stage for name, stage in stages.items()}


def _equal_entries(entries: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    return {entry["path"]: entry["md5"] for entry in entries if not entry["path"].startswith(TIMED)}


def differences(undisturbed: Undisturbed, clone: Clone) -> list[str]:
    """Names of what is there on one side alone, or is not the same."""
    found = results(clone)
    names = sorted(undisturbed.results.keys() | found.keys())
    return [name for name in names if undisturbed.results.get(name) != found.get(name)]


def copy_of(clone: Clone, folder: Path, *, without: Iterable[str] = ()) -> Clone:
    """A finished clone once more, elsewhere. Of the stages `without`, nothing is left that would spare running them."""
    copied = Clone.__new__(Clone)
    copied._settle(folder)
    # Keeps the dates, and what is one file under two names.
    subprocess.run(["cp", "-a", f"{clone.root}/.", str(copied.root)], check=True)
    forget(copied, without)
    return copied


def forget(clone: Clone, stages: Iterable[str]) -> None:
    """Leave no trace of what stages did: no outputs, no entry in dvc.lock, no run-cache, no store of captions."""
    path = clone.root / "dvc.lock"
    yaml = YAML()
    lock = yaml.load(path)
    for stage in stages:
        for out in lock["stages"].pop(stage)["outs"]:
            file = clone.root / out["path"]
            shutil.rmtree(file) if file.is_dir() else file.unlink()
        shutil.rmtree(clone.root / ".dvc" / "cache" / "runs", ignore_errors=True)
        shutil.rmtree(clone.root / ".dvc" / "recap-store", ignore_errors=True)
    yaml.dump(lock, path)


def finish(clone: Clone, undisturbed: Undisturbed) -> Run:
    """The next `dvc repro` ends well, and as the undisturbed run did."""
    run = Run(clone)
    assert run.end() == 0, run.said[-3000:]
    assert differences(undisturbed, clone) == []
    return run


def torn(clone: Clone) -> list[str]:
    """What dvc was writing when it was killed, and cannot read now. A dvc.lock that only knows fewer stages it can."""
    with chdir(clone.root):
        return [str(path) for path in torn_files()]


def cure(clone: Clone, name: str) -> str:
    """What a user does with such a file, or `make` for them; returns the command."""
    command = ["git", "restore", name] if name == "dvc.lock" else ["rm", name]
    clone.run(*command)
    return " ".join(command)


def mend(clone: Clone, note: Note, fault: str) -> None:
    """Cure what a fault tore, and count it as a repair by hand."""
    for name in torn(clone):
        print(f"{name} was cut", flush=True)
        note(f"{fault}, while dvc wrote {name}", "dvc", f"a repair by hand: `{cure(clone, name)}`")
