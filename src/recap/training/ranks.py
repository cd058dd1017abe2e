"""Which process of a distributed launch writes: `torchrun` and `deepspeed` number them in RANK."""

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from recap.runtime.timing import Timing, stage_timing


def is_rank_zero() -> bool:
    """Whether this process publishes outputs; true in a launch of one."""
    return int(os.environ.get("RANK", "0")) == 0


def world_size() -> int:
    """Number of processes that train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def timing_on_rank_zero(path: Path, stage: str) -> AbstractContextManager[Timing]:
    """`stage_timing`, written by one process; the others' counts go nowhere."""
    return stage_timing(path, stage) if is_rank_zero() else nullcontext(Timing())
