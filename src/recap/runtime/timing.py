"""How long a stage took, and on what: the one output that is allowed to differ between two equal runs."""

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recap.io import write_json


@contextmanager
def stage_timing(path: str | Path, stage: str) -> Iterator[dict[str, Any]]:
    """Time a stage and write `{"stage", "seconds", "hardware", ...}` to `path` when it succeeds.

    Yields a dict for the stage's own counts (`timing["items"] = 2400`, `timing["device"] = "cuda:0"`, ...);
    with `items` given, `items_per_second` is added. Times are of this process: work kept from an
    interrupted run counts in `items` only if the stage says so.
    """
    counts: dict[str, Any] = {}
    start = time.perf_counter()
    yield counts
    seconds = time.perf_counter() - start
    rate = {"items_per_second": round(counts["items"] / seconds, 2)} if counts.get("items") else {}
    write_json(path, {"stage": stage, "seconds": round(seconds, 2), **counts, **rate, "hardware": hardware()})


def hardware() -> dict[str, Any]:
    """What the numbers of a timing were measured on."""
    return {"machine": platform.machine(), "processor": _processor(), "cpus": os.cpu_count()}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
