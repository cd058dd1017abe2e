"""How long a stage took, and on what: the one output that is allowed to differ between two equal runs."""

import os
import platform
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from recap.io import write_json
from recap.runtime.versions import versions

# In a scratch folder: the seconds that processes have worked in it so far.
ELAPSED = "elapsed"
HEARTBEAT_S = 0.2


class Timing(dict[str, Any]):
    """A stage's own counts, to be written beside its seconds, and the clock that survives a kill.

    Attributes:
        seconds_before: What earlier, killed processes spent on the work that this one goes on with.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seconds_before = 0.0
        self._start = time.perf_counter()
        self._stop = threading.Event()
        self._heart: threading.Thread | None = None

    @property
    def seconds_now(self) -> float:
        """Seconds of this process."""
        return time.perf_counter() - self._start

    def keep_in(self, scratch: Path) -> None:
        """Count the seconds that killed processes spent in this scratch folder, and keep this one's there.

        They are written five times a second until `stop`, as a kill gives no notice. Remove the folder after that.
        """
        file = scratch / ELAPSED
        self.seconds_before = _read_seconds(file)
        self._heart = threading.Thread(target=self._beat, args=(file,), daemon=True)
        self._heart.start()

    def stop(self) -> None:
        """End the writing of `keep_in`."""
        self._stop.set()
        if self._heart:
            self._heart.join()

    def _beat(self, file: Path) -> None:
        draft = file.with_suffix(".draft")
        while True:
            # A full disk or a folder that is gone costs the clock, not the work.
            with suppress(OSError):
                draft.write_text(f"{self.seconds_before + self.seconds_now:.2f}", encoding="utf-8")
                os.replace(draft, file)
            if self._stop.wait(HEARTBEAT_S):
                return


@contextmanager
def stage_timing(path: str | Path, stage: str) -> Iterator[Timing]:
    """Time a stage and write `{"stage", "seconds", ..., "hardware", "software"}` when it succeeds.

    Yields a `Timing` for the stage's own counts (`timing["items"] = 2400`, `timing["device"] = "cuda:0"`, ...).
    `seconds` are those of all processes that worked on the result (see `Timing.keep_in`); `items` are all, and `kept`
    those of them that an earlier, killed process had done. `items_per_second` is of this process alone.
    """
    timing = Timing()
    try:
        yield timing
    finally:
        timing.stop()
    now = timing.seconds_now
    done_now = timing.get("items", 0) - timing.get("kept", 0)
    rate = {"items_per_second": round(done_now / now, 2)} if done_now else {}
    seconds = {"seconds": round(timing.seconds_before + now, 2), "seconds_this_process": round(now, 2)}
    write_json(path, {"stage": stage, **seconds, **timing, **rate, "hardware": hardware(), "software": software()})


def _read_seconds(file: Path) -> float:
    try:
        return float(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return 0.0


def hardware() -> dict[str, Any]:
    """What the numbers of a timing were measured on."""
    return {"machine": platform.machine(), "processor": _processor(), "cpus": os.cpu_count()}


def software() -> dict[str, Any]:
    """What else may move a number: versions, the threads that torch cuts its sums into, processes that worked together.

    `visible_cpus` are the processors that this process may use (`taskset` and containers leave fewer than there are).
    `threads` is None in a stage that never loaded torch.
    """
    torch = sys.modules.get("torch")
    visible = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "versions": versions(),
        "threads": torch.get_num_threads() if torch else None,
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        "visible_cpus": visible,
        "world_size": int(os.environ.get("WORLD_SIZE", "1")),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
