"""Seconds of the quickest of several turns."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple


class Seconds(NamedTuple):
    """What a turn took; the one with less CPU time is the quicker."""

    cpu: float
    wall: float


def quickest(works: Sequence[Callable[[], Any]], repeats: int) -> list[Seconds]:
    """The quickest turn of each work; they take turns, after one each to warm up."""
    turns: list[list[Seconds]] = [[] for _ in works]
    for _ in range(repeats + 1):
        for work, taken in zip(works, turns, strict=True):
            wall, cpu = time.perf_counter(), time.process_time()
            work()
            taken.append(Seconds(time.process_time() - cpu, time.perf_counter() - wall))
    return [min(taken[1:]) for taken in turns]
