"""Killed at random moments, in every stage: the next `dvc repro` goes on, and ends with the undisturbed run's bytes."""

import os
import random
import signal
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.clones import Clone

from .conftest import KILLS, SEED
from .project import Note, Run, Undisturbed, copy_of, finish, mend

pytestmark = pytest.mark.slow

RIGHT = "the next `dvc repro` goes on; all outputs as undisturbed"
SAYS = f"dvc names the stage; {RIGHT}"
GROUP = "SIGKILL to dvc and all that it started"


Strike = Callable[[Run], None]


def test_kills_at_random_moments(undisturbed: Undisturbed, tmp_path: Path, note: Note) -> None:
    """By default two in single stages; with RECAP_FAULTS in whole runs, each stage once before any comes again."""
    draw = random.Random(SEED)
    stages = list(undisturbed.seconds)
    if not KILLS:
        chosen = draw.sample(stages[1:-1], 2)
        clone = copy_of(undisturbed.clone, tmp_path / "copy", without=chosen)
        disturb(clone, chosen, undisturbed, draw, kill_all, note, GROUP)
    for number, first in enumerate(range(0, KILLS, len(stages))):
        clone = Clone(tmp_path / str(number))
        chosen = draw.sample(stages, min(len(stages), KILLS - first))
        disturb(clone, chosen, undisturbed, draw, kill_all, note, GROUP)


def kill_all(run: Run) -> None:
    run.signal(signal.SIGKILL)


def disturb(
    clone: Clone, chosen: Iterable[str], undisturbed: Undisturbed, draw: random.Random, strike: Strike, note: Note,
    name: str, outcome: str = RIGHT,
) -> list[Run]:  # fmt: skip
    """Strike a run at a random moment in each of the stages, start it again each time, and compare where it ends.

    Returns:
        The runs that were struck; a stage may be quicker than it was, and a run through before its moment comes.
    """
    struck = []
    for stage in sorted(chosen, key=list(undisturbed.seconds).index):
        mend(clone, note, name)
        delay = draw.uniform(0, undisturbed.seconds[stage])
        run = Run(clone)
        if run.reach(stage, delay):
            strike(run)
        code = run.end()
        print(f"{name}, {delay:.2f} s after the begin of {stage}: exit code {code} in {run.under_way}", flush=True)
        if code != 0:
            struck.append(run)
    assert struck, "every stage was quicker than its moment"
    mend(clone, note, name)
    finish(clone, undisturbed)
    for run in struck:
        note(name, run.under_way, outcome)
    return struck


def test_dvc_alone_is_killed(undisturbed: Undisturbed, tmp_path: Path, note: Note) -> None:
    """Its stage ends too: it would write into the outputs of the next one. Some shells stay between the two."""
    stage = "explore"
    clone = copy_of(undisturbed.clone, tmp_path, without=[stage])
    shells = ("/bin/sh", "/bin/bash")
    for shell in shells:
        run = Run(clone, environment={"SHELL": shell})
        assert run.reach(stage, undisturbed.seconds[stage] / 4), "the stage was quicker"
        os.kill(run.process.pid, signal.SIGKILL)
        run.end()
        assert not (clone.root / "data" / "timings" / f"{stage}.json").exists(), "it went on and published"
    finish(clone, undisturbed)
    for shell in shells:
        note(f"SIGKILL to dvc alone ({shell})", stage, f"its stage ends too; {RIGHT}")


@pytest.mark.faults_on_demand
def test_the_stage_alone_is_killed(undisturbed: Undisturbed, tmp_path: Path, note: Note) -> None:
    """As the kernel does that runs out of memory."""
    chosen = ["prepare", "caption", "quality", "finetune", "answer@mmbench"]
    clone = copy_of(undisturbed.clone, tmp_path, without=chosen)
    draw = random.Random(SEED)
    for run in disturb(clone, chosen, undisturbed, draw, kill_stage, note, "SIGKILL to the stage alone", SAYS):
        assert f"failed to reproduce '{run.under_way}'" in run.said and "Traceback" not in run.said, run.said[-3000:]


def kill_stage(run: Run) -> None:
    os.kill(run.stage_process(), signal.SIGKILL)


@pytest.mark.faults_on_demand
@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("SIGTERM to all", [signal.SIGTERM]),
        ("Ctrl-C", [signal.SIGINT]),
        ("Ctrl-C twice", [signal.SIGINT, signal.SIGINT]),
    ],
)
def test_asked_to_end(
    undisturbed: Undisturbed, tmp_path: Path, name: str, numbers: list[signal.Signals], note: Note
) -> None:
    def ask(run: Run) -> None:
        for number in numbers:
            run.signal(number)

    chosen = ["caption", "process", "finetune", "score@gqa"]
    clone = copy_of(undisturbed.clone, tmp_path, without=chosen)
    for run in disturb(clone, chosen, undisturbed, random.Random(SEED), ask, note, name):
        # Python's own, where it comes while a stage loads its libraries.
        assert run.said.count("Traceback") == run.said.count("\nKeyboardInterrupt"), run.said[-3000:]
