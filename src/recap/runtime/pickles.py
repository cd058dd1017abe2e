"""Weights in PyTorch's older format are pickles, which can hold code: they are read as tensors, and as nothing else."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recap.runtime.errors import UserError


@contextmanager
def tensors_alone(folder: Path) -> Iterator[None]:
    """Say in one line what a loader with `weights_only` refuses.

    Raises:
        UserError: A weight file of the folder holds more than tensors.
    """
    try:
        yield
    except pickle.UnpicklingError:
        raise UserError(
            f"{folder}: expected weights that are tensors alone, found a pickle with other objects, which could run "
            "code; get the model in safetensors"
        ) from None
