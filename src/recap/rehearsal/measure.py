"""Seconds and peak memory of a piece of work on a device."""

import re
import resource
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import torch

Result = TypeVar("Result")

# Dense bfloat16 operations a second, from the makers' data sheets.
_PEAK_OPERATIONS = {"H100 PCIe": 756e12, "H100": 989e12, "H200": 989e12, "A100": 312e12, "L4": 121e12}

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")


def timed(device: torch.device, work: Callable[..., Result], *args: Any, **kwargs: Any) -> tuple[Result, float]:
    """What `work` returns, and its seconds."""
    _wait(device)
    start = time.perf_counter()
    result = work(*args, **kwargs)
    _wait(device)
    return result, time.perf_counter() - start


def fastest(device: torch.device, repeats: int, work: Callable[..., object], *args: Any, **kwargs: Any) -> float:
    """Seconds of the fastest of `repeats` runs; the first on a GPU chooses kernels and allocates."""
    return min(timed(device, work, *args, **kwargs)[1] for _ in range(repeats))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_operations(device: torch.device) -> float | None:
    """What the device can do in a second at most; None where that is not known."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for card, peak in _PEAK_OPERATIONS.items() if re.search(rf"\b{card}\b", name)), None)


def reset_peak(device: torch.device) -> None:
    """Look for the next peak from here on; a CPU that is not Linux's only knows the peak of the process's life."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with suppress(OSError):
            _CLEAR_REFS.write_text("5", encoding="ascii")


def peak_bytes(device: torch.device) -> int:
    """Since `reset_peak`: a GPU's tensors, or on a CPU all of this process, Python and libraries included."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    with suppress(OSError):
        for line in _STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
