"""Where a model runs, and in which precision."""

import torch

from recap.runtime.errors import UserError

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
