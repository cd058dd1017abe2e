"""DeepSpeed's ZeRO under this project's rule: what trains, and its optimizer state, is float32.

In: a file of configs/deepspeed. DeepSpeed's own bfloat16 mode casts the whole model, trained parameters included, and
keeps float32 copies to itself: what a model is saved from is then rounded to 8 bits. Its autocast leaves parameters as
they are, like the Trainer without DeepSpeed, so that is what runs here.
"""

import json
import logging
import os
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from recap.models.loading import dtype_name
from recap.runtime.errors import UserError
from recap.runtime.holding import held
from recap.runtime.ranks import is_first_on_its_host
from recap.runtime.scratch import SCRATCH_ROOT

logger = logging.getLogger(__name__)

ACCUMULATION = "Gradient accumulation steps mismatch"
EXTENSIONS = "TORCH_EXTENSIONS_DIR"


def read_zero_config(path: str | Path) -> dict[str, Any]:
    """A DeepSpeed configuration as it stands in its file.

    Raises:
        UserError: There is no such file, it is no JSON object with `zero_optimization`, or it asks for 16-bit
            parameters.
    """
    try:
        config = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: expected a DeepSpeed configuration, found nothing; see configs/deepspeed/") from None
    except IsADirectoryError:
        raise UserError(f"{path}: expected a DeepSpeed configuration, found a folder; name a file in it") from None
    except ValueError as error:
        raise UserError(f"{path}: expected a DeepSpeed configuration in JSON: {error}") from None
    if not isinstance(config, dict):
        raise UserError(f"{path}: expected a JSON object, found {type(config).__name__}")
    if found := [name for name in ("bf16", "fp16", "torch_autocast") if name in config]:
        raise UserError(
            f"{path}: expected no section {', '.join(found)}: device.dtype says what is computed in, and what trains "
            "stays float32; remove it"
        )
    if not isinstance(config.get("zero_optimization"), dict):
        raise UserError(f"{path}: expected a section zero_optimization, found {sorted(config)}; see configs/deepspeed/")
    if (stage := config["zero_optimization"].get("stage", 0)) not in range(4):
        raise UserError(f"{path}: zero_optimization.stage: expected 0, 1, 2 or 3, found {stage!r}")
    return config


def zero_config(path: str | Path, dtype: torch.dtype) -> dict[str, Any]:
    """A DeepSpeed configuration that computes in `dtype` by autocast and keeps parameters as they are.

    Raises:
        UserError: See `read_zero_config`; or `dtype` is float16.
    """
    config = read_zero_config(path)
    if dtype == torch.float16:
        raise UserError("device.dtype: expected bfloat16 or float32 under DeepSpeed, found float16")
    if dtype != torch.float32:
        # An empty list: gradients and parameters travel in float32 too. What trains is a small part of the model.
        autocast = {"enabled": True, "dtype": dtype_name(dtype), "lower_precision_safe_modules": []}
        config["torch_autocast"] = autocast
    return config


def prepare_deepspeed(device: torch.device, holding: ExitStack) -> None:
    """Settle what DeepSpeed finds out for itself otherwise. Call it before it is imported and before the ranks meet.

    Args:
        device: What is trained on.
        holding: Holds the folder of compiled extensions for as long as it is open.

    Raises:
        UserError: DeepSpeed is not installed.
    """
    if find_spec("deepspeed") is None:
        raise UserError(
            "machine.deepspeed: expected DeepSpeed to be installed, found it missing; pip install '.[deepspeed]'"
        )
    os.environ.setdefault("DS_ACCELERATOR", device.type)
    if EXTENSIONS not in os.environ:
        _own_extensions(SCRATCH_ROOT / "extensions", holding)
    if device.type == "cpu":
        _without_shared_memory_op()
    # The Trainer counts accumulation itself and tells accelerate 1; every run would begin with a warning of that.
    logging.getLogger("accelerate.accelerator").addFilter(lambda record: ACCUMULATION not in record.getMessage())


def _own_extensions(folder: Path, holding: ExitStack) -> None:
    """Keep what is compiled in a folder of our own, and break the locks that killed compiles have left there.

    PyTorch marks a compile by a lock file and waits until it is gone: after a kill, for ever. The ranks have not met
    yet, so none of this run compiles; where another run holds the folder, its locks are left alone.
    """
    os.environ[EXTENSIONS] = str(folder.resolve())
    if not is_first_on_its_host():
        return
    try:
        holding.enter_context(held(folder, patience=0))
    except UserError:
        return
    for lock in folder.rglob("lock"):
        lock.unlink()
        logger.info("removed %s: a kill left it", lock)


def _without_shared_memory_op() -> None:
    """Have CPU ranks talk through torch.distributed alone.

    Where it finds a compiler, DeepSpeed compiles a collective of its own: half a minute at the first start.
    """
    from deepspeed.ops import __compatible_ops__ as compatible  # an optional dependency

    compatible["deepspeed_shm_comm"] = False
