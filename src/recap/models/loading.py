"""Where a model runs, in which precision, and what a folder that does not load is told by."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError

from recap.runtime.errors import UserError, one_line

# What loaders raise on folders that hold something else; each is a fault of the input.
LOADER_ERRORS = (
    OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, RecursionError, MemoryError,
    SafetensorError, StrictDataclassError,
)  # fmt: skip

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def dtype_name(dtype: torch.dtype) -> str:
    """A dtype as parameters and metrics write it: "float32"."""
    return str(dtype).removeprefix("torch.")


def pick_device(name: str) -> torch.device:
    """The device that a parameter names.

    Args:
        name: "auto" (CUDA if there is one, else the CPU), "cpu", "cuda", "cuda:1", ...

    Raises:
        UserError: There is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"device.device: expected auto, cpu, cuda or cuda:N, found {name!r}") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(
            f"device.device: expected a CUDA device {name!r}, found {torch.cuda.device_count()}; set it to auto or cpu"
        )
    return device


def pick_dtype(name: str, device: torch.device) -> torch.dtype:
    """The dtype that a parameter names.

    Args:
        name: "float32", "bfloat16", "float16", or "auto": bfloat16 on a GPU that computes it, else float32
            (on a CPU without bfloat16 units a bfloat16 product takes 200 times as long).
        device: Where the model will run.

    Raises:
        UserError: No such dtype.
    """
    if name == "auto":
        with_bfloat16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if with_bfloat16 else torch.float32
    if name not in DTYPES:
        raise UserError(f"device.dtype: expected auto, {', '.join(DTYPES)}, found {name!r}")
    return DTYPES[name]


@contextmanager
def readable_model(folder: Path, what: str) -> Iterator[None]:
    """Turn whatever a loader makes of a folder into one line.

    Args:
        folder: Of the model.
        what: What it is to the reader of an error: "captioner".

    Raises:
        UserError: As the body raises it, or in place of what a loader raised.
    """
    try:
        yield
    except LOADER_ERRORS as error:
        reason = one_line(error, 300)
        raise UserError(
            f"{folder}: expected a {what} that can be loaded, found {type(error).__name__}: {reason}; fetch it again"
        ) from None
