"""What a training run ran on: the same in two equal runs on one machine, and the first suspect where two differ."""

import platform
from typing import Any

import torch

from recap.models.loading import dtype_name
from recap.runtime.ranks import world_size
from recap.runtime.versions import library_versions

# Libraries whose version can move a weight.
LIBRARIES = ("recap", "torch", "transformers", "peft", "accelerate", "tokenizers", "numpy", "pillow", "deepspeed")


def decisive(device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """What half a run's work must have in common with the rest of it, to end in the bytes of an undisturbed run.

    Kind of device, dtype, processes, versions, and on a CPU the threads, which cut sums.
    """
    return {
        "device": device.type,
        **({"threads": torch.get_num_threads()} if device.type == "cpu" else {}),
        "dtype": dtype_name(dtype),
        "world_size": world_size(),
        "versions": {"python": platform.python_version(), **library_versions(LIBRARIES)},
    }


def provenance(device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """Device and its name, dtype, threads, processes that trained together, and versions of Python and libraries."""
    return {
        **decisive(device, dtype),
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "threads": torch.get_num_threads(),
    }
