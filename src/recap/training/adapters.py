"""Reading an adapter folder and putting it onto its base model, with every tensor accounted for.

In: a PEFT folder of this project, with the connectors as `modules_to_save`, or one of the original's, which keeps them
apart in `non_lora_trainables.bin` and which none of its own loaders reads (dvlab-research/MGM@769820c,
mgm/train/train.py). Out: the PEFT model, in eval mode.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model, set_peft_model_state_dict
from transformers import PreTrainedModel

from recap.io import read_object
from recap.models.mgm.checkpoint import read_tensors
from recap.models.mgm.connectors import CONNECTORS, connector_name
from recap.models.mgm.weight_names import mgm_name
from recap.runtime.errors import UserError, one_line
from recap.training.lora import ADAPTER_WEIGHTS, adapter_shapes, adapter_tensors, lora_targets, tensor_problems

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_PICKLE = "adapter_model.bin"  # PEFT before 0.5
ORIGINAL_CONNECTORS = "non_lora_trainables.bin"

_PREFIX = "base_model.model."


@dataclass(frozen=True)
class Adapter:
    """An adapter folder in memory.

    Attributes:
        folder: Where it was read.
        config: PEFT's configuration; `target_modules` is as in the file.
        tensors: By the names that this project's adapters use.
        is_original: Whether the original wrote it.
    """

    folder: Path
    config: LoraConfig
    tensors: dict[str, torch.Tensor]
    is_original: bool


def read_adapter(folder: Path) -> Adapter:
    """The configuration and the tensors of an adapter folder of either kind.

    The original trains, and saves, in bfloat16; its tensors come back as float32, which holds the same numbers.

    Raises:
        UserError: A file is missing or damaged, it is no LoRA, or it has no connectors.
    """
    files = [folder / name for name in (ADAPTER_WEIGHTS, ADAPTER_PICKLE) if (folder / name).is_file()]
    if not files:
        raise UserError(f"{folder}: expected a PEFT folder with {ADAPTER_WEIGHTS}, found none; run finetune")
    config = _read_config(folder)
    tensors = read_tensors(files[0])
    is_original = (folder / ORIGINAL_CONNECTORS).is_file()
    if is_original:
        tensors = {
            name: tensor.float() for name, tensor in (tensors | read_tensors(folder / ORIGINAL_CONNECTORS)).items()
        }
    tensors = {_PREFIX + mgm_name(name.removeprefix(_PREFIX)): tensor for name, tensor in tensors.items()}
    if not any(connector_name(name) for name in tensors):
        raise UserError(
            f"{folder}: expected connectors in {files[0].name} or in {ORIGINAL_CONNECTORS}, found none in either; "
            f"without them the images mean nothing to the model"
        )
    return Adapter(folder, config, tensors, is_original)


def _read_config(folder: Path) -> LoraConfig:
    path = folder / ADAPTER_CONFIG
    kind = read_object(path).get("peft_type")
    if kind != "LORA":
        raise UserError(f"{path}: expected peft_type LORA, found {one_line(repr(kind), 40)}; run finetune")
    with _peft_explained(f"{path}: expected the settings of a LoRA"):
        return LoraConfig.from_pretrained(str(folder))


@contextmanager
def _peft_explained(trouble: str) -> Iterator[None]:
    """PEFT takes any settings and tensors, and those that are none end in an error of any kind."""
    try:
        yield
    except (UserError, OSError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise UserError(f"{trouble}: {one_line(error, 160)}; run finetune") from None


def load_adapter(model: PreTrainedModel, folder: Path) -> tuple[PeftModel, dict[str, int]]:
    """Put an adapter onto its base model and account for each of its tensors: name, shape, dtype and values.

    Args:
        model: The base; it is changed in place.
        folder: See `read_adapter`.

    Returns:
        The PEFT model in eval mode, and `lora_tensors` and `connector_tensors` found in it with the values of the file.

    Raises:
        UserError: The folder is no adapter of this model: a tensor has no place in it, or a place got no tensor.
    """
    adapter = read_adapter(folder)
    config = adapter.config
    with _peft_explained(f"{folder}: does not fit the base model"):
        # The original names layers by suffix, which CLIP's would match too: it adds LoRA before there are towers.
        if not isinstance(config.target_modules, str):
            config.target_modules = lora_targets(model, sorted(config.target_modules or ()))
        config.modules_to_save, config.task_type, config.base_model_name_or_path = list(CONNECTORS), None, None
        wrapped = get_peft_model(model, config)
    problems = tensor_problems(adapter.tensors, adapter_shapes(wrapped))
    if not problems:
        with _peft_explained(f"{folder}: does not fit the base model"):
            set_peft_model_state_dict(wrapped, adapter.tensors)
        problems = [
            f"{name} did not arrive in the model"
            for name, parameter in adapter_tensors(wrapped).items()
            if not torch.equal(adapter.tensors[name], parameter.detach().cpu())
        ]
    if problems:
        raise UserError(
            f"{folder}: does not fit the base model: {len(problems)} problem(s): {'; '.join(problems[:3])}; "
            f"run finetune again"
        )
    connectors = sum(connector_name(name) is not None for name in adapter.tensors)
    return wrapped.eval(), {"lora_tensors": len(adapter.tensors) - connectors, "connector_tensors": connectors}
