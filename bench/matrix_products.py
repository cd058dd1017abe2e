"""The limit of any engine: what the model's matrix products take by themselves, and what the device can do."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

# Operators (on a CPU) and kernels (on a GPU) that multiply matrices, attention's included.
OPERATORS = ("addmm", "aten::mm", "bmm", "convolution", "flash_attention", "efficient_attention", "mkldnn_linear")
KERNELS = ("gemm", "gemv", "cutlass", "nvjet", "xmma", "fmha", "flash", "attention", "conv")


def product_seconds(work: Callable[[], Any], device: torch.device) -> float:
    """Seconds that `work` spends in matrix products: of one thread on a CPU, of kernels on a GPU."""
    on_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]
    with profile(activities=activities) as profiler:
        work()
    microseconds = 0.0
    for event in profiler.key_averages():
        if on_gpu and any(name in event.key.lower() for name in KERNELS):
            microseconds += event.self_device_time_total
        elif not on_gpu and any(name in event.key for name in OPERATORS):
            microseconds += event.self_cpu_time_total
    return microseconds / 1e6


class _Counter(TorchDispatchMode):
    """PyTorch's formulas without its `FlopCounterMode`, whose hooks on modules fail in inference mode."""

    flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        formula = flop_registry.get(func._overloadpacket)
        if formula is None:
            # In inference mode `linear` and the like arrive whole.
            with self:
                out = func.decompose(*args, **kwargs or {})
            if out is not NotImplemented:
                return out
        out = func(*args, **kwargs or {})
        if formula is not None:
            self.flops += formula(*args, **kwargs or {}, out_val=out)
        return out


def count_flops(work: Callable[[], Any]) -> int:
    """Floating point operations of the matrix products in `work`, a multiplication and an addition each."""
    with _Counter() as counter:
        work()
    return counter.flops


def peak_tflops(device: torch.device, dtype: torch.dtype) -> float:
    """10^12 operations per second that the device reaches on large square matrices: the best of several products."""
    size = 8192 if device.type == "cuda" else 1024
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(12):
        _wait(device)
        start = time.perf_counter()
        torch.mm(left, right)
        _wait(device)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best / 1e12


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
