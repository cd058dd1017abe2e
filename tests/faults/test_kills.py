"""Killed at random moments, in every stage: the next `dvc repro` goes on, and ends with the undisturbed run's bytes."""

import os
import random
import signal
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.clones import Clone

from .conftest import KILLS, SEED, Note
from .project import CUT_FILES, Run, Undisturbed, copy_of, cut_file_cured, finish, is_cut

pytestmark = pytest.mark.slow

RIGHT = "the next `dvc repro` goes on; all outputs as undisturbed"
GROUP = "SIGKILL to dvc and all that it started"


def test_kills_at_random_moments(undisturbed: Undisturbed, tmp_path: Path, note: Note) -> None:
    """By default three in single stages; with RECAP_FAULTS in whole runs, each stage once before any comes again."""
    draw = random.Random(SEED)
    stages = list(undisturbed.seconds)
    if not KILLS:
        chosen = in_order(draw.sample(stages[1:-1], 3), stages)
        clone = copy_of(undisturbed.clone, tmp_path / "copy", without=chosen)
        disturb(clone, chosen, undisturbed, draw, note)
    for number, first in enumerate(range(0, KILLS, len(stages))):
        clone = Clone(tmp_path / str(number))
        hit = draw.sample(stages, min(len(stages), KILLS - first))
        disturb(clone, in_order(hit, stages), undisturbed, draw, note)


def in_order(chosen: Iterable[str], stages: list[str]) -> list[str]:
    return sorted(chosen, key=stages.index)


def disturb(clone: Clone, chosen: list[str], undisturbed: Undisturbed, draw: random.Random, note: Note) -> None:
    """Kill a run once in each of the stages, start it again each time, and compare where it ends."""
    hit = []
    for stage in chosen:
        mend(clone, note)
        delay = draw.uniform(0, undisturbed.seconds[stage])
        run = Run(clone)
        if run.reach(stage, delay):
            run.signal(signal.SIGKILL)
        code = run.end()
        print(f"{delay:.2f} s after the begin of {stage}: exit code {code} in {run.under_way}", flush=True)
        # A stage may have been quicker this time, and the last one through.
        if code != 0:
            assert code == -signal.SIGKILL, run.said[-3000:]
            hit.append(run.under_way)
    mend(clone, note)
    finish(clone, undisturbed)
    for stage in hit:
        note(GROUP, stage, RIGHT)


def mend(clone: Clone, note: Note) -> None:
    """What docs/RELIABILITY.md tells a user to do where a kill cut a file that dvc does not write at once."""
    for name in CUT_FILES:
        if is_cut(clone.root / name):
            cure = cut_file_cured(clone, name)
            print(f"{name} was cut", flush=True)
            note(f"SIGKILL while dvc wrote {name}", "dvc", f"dvc names the file; cured by `{cure}`")


@pytest.mark.parametrize("stage", ["process", pytest.param("merge", marks=pytest.mark.faults_on_demand)])
def test_dvc_alone_is_killed(undisturbed: Undisturbed, tmp_path: Path, stage: str, note: Note) -> None:
    """Its stage ends too: it would write into the outputs of the next one."""
    clone = copy_of(undisturbed.clone, tmp_path, without=[stage])
    run = Run(clone)
    run.reach(stage)
    number = run.stage_process()
    os.kill(run.process.pid, signal.SIGKILL)
    run.end()
    assert not Path(f"/proc/{number}").exists()
    assert not (clone.root / "data" / "timings" / f"{stage}.json").exists(), "it went on and published"
    finish(clone, undisturbed)
    note("SIGKILL to dvc alone", stage, f"its stage ends too; {RIGHT}")


@pytest.mark.faults_on_demand
@pytest.mark.parametrize("stage", ["prepare", "caption", "quality", "answer@mmbench"])
def test_the_stage_alone_is_killed(undisturbed: Undisturbed, tmp_path: Path, stage: str, note: Note) -> None:
    """As the kernel does that runs out of memory."""
    clone = copy_of(undisturbed.clone, tmp_path, without=[stage])
    run = Run(clone)
    run.reach(stage, undisturbed.seconds[stage] / 3)
    os.kill(run.stage_process(), signal.SIGKILL)
    assert run.end() != 0
    assert f"failed to reproduce '{stage}'" in run.said and "Traceback" not in run.said
    finish(clone, undisturbed)
    note("SIGKILL to the stage alone", stage, f"dvc names the stage; {RIGHT}")


@pytest.mark.faults_on_demand
@pytest.mark.parametrize("stage", ["caption", "process", "finetune", "score@gqa"])
@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("SIGTERM to all", [signal.SIGTERM]),
        ("Ctrl-C", [signal.SIGINT]),
        ("Ctrl-C twice", [signal.SIGINT, signal.SIGINT]),
    ],
)
def test_asked_to_end(
    undisturbed: Undisturbed, tmp_path: Path, stage: str, name: str, numbers: list[signal.Signals], note: Note
) -> None:
    clone = copy_of(undisturbed.clone, tmp_path, without=[stage])
    run = Run(clone)
    run.reach(stage, undisturbed.seconds[stage] / 2)
    for number in numbers:
        run.signal(number)
    assert run.end() != 0
    assert "Traceback" not in run.said, run.said[-3000:]
    finish(clone, undisturbed)
    note(name, stage, RIGHT)
