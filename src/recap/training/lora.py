"""LoRA on the language model, connectors trained whole, and an adapter folder that is checked after it is saved.

In: an MGM model with a trained projector. Out: `models/adapter/`, a PEFT folder: `adapter_model.safetensors` holds the
LoRA matrices and, as `modules_to_save`, the connectors, so that PEFT alone can load all that finetuning changed (the
original writes the connectors to a file that none of its loaders reads, MGM#135).
"""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from torch import nn
from transformers import PreTrainedModel

from recap.models.loading import dtype_name
from recap.models.mgm.connectors import CONNECTORS, KEY_BIASES, connector_name, connector_parameters
from recap.models.mgm.mismatch import mismatches
from recap.params import LoraParams
from recap.runtime.errors import UserError
from recap.training.trainable import trained

ADAPTER_WEIGHTS = "adapter_model.safetensors"


def lora_targets(model: PreTrainedModel, target_modules: list[str]) -> str:
    """The regular expression for PEFT that matches the named linear layers of the language model, and no others.

    Bare suffixes would not do: CLIP too has layers named q_proj, k_proj and v_proj.

    Raises:
        UserError: The language model has no linear layer of one of the names.
    """
    decoder = model.get_decoder()
    prefix = next(name for name, module in model.named_modules() if module is decoder)
    linear = {name.rsplit(".", 1)[-1] for name, module in decoder.named_modules() if isinstance(module, nn.Linear)}
    unknown = [name for name in target_modules if name not in linear]
    if unknown:
        raise UserError(
            f"lora.target_modules: expected linear layers of the language model ({', '.join(sorted(linear))}), "
            f"found {', '.join(unknown)}"
        )
    return rf"{re.escape(prefix)}\..*\.({'|'.join(map(re.escape, target_modules))})"


def add_lora(model: PreTrainedModel, params: LoraParams) -> PeftModel:
    """Wrap a model for finetuning: LoRA matrices and copies of the connectors train, everything else is frozen.

    Raises:
        UserError: See `lora_targets`.
    """
    config = LoraConfig(
        r=params.r,
        lora_alpha=params.alpha,
        lora_dropout=params.dropout,
        bias="none",
        target_modules=lora_targets(model, params.target_modules),
        modules_to_save=list(CONNECTORS),
    )
    wrapped = get_peft_model(model, config)
    # PEFT notes the folder of the base model, which differs between machines; stages name it by a flag.
    wrapped.peft_config["default"].base_model_name_or_path = ""
    return wrapped


def connector_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """Copies of the connectors' tensors, by the names they have in an adapter file."""
    return {
        f"base_model.model.model.{name}": parameter.detach().float().cpu().clone()
        for name, parameter in connector_parameters(model).items()
    }


def save_adapter(model: PeftModel, folder: Path) -> None:
    """Write the PEFT folder. Under ZeRO-3 call it inside `whole_parameters`."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: parameter.detach().cpu() for name, parameter in trained(model)}
    model.save_pretrained(str(folder), state_dict=state)
    (folder / "README.md").unlink()  # PEFT's model card, an empty form


def adapter_tensors(model: nn.Module) -> dict[str, nn.Parameter]:
    """LoRA matrices and connectors of a PEFT model, by the names that they have in an adapter file."""
    return {
        name.replace(".modules_to_save.default", "").replace(".default.weight", ".weight"): parameter
        for name, parameter in model.named_parameters()
        if ".lora_" in name or ".modules_to_save." in name
    }


def adapter_shapes(model: nn.Module) -> dict[str, torch.Size]:
    """The shape of each tensor that an adapter file of this PEFT model has to hold; under ZeRO-3 the whole one."""
    return {name: getattr(parameter, "ds_shape", parameter.shape) for name, parameter in adapter_tensors(model).items()}


def tensor_problems(found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Size]) -> list[str]:
    """What is wrong with the tensors of an adapter file, by name, shape, dtype and value; nothing if all is well.

    Trained tensors are float32. DeepSpeed's bfloat16 mode rounds them when it gathers them for saving, ZeRO-3 leaves
    empty shells.
    """
    empty = {name for name, tensor in found.items() if tensor.numel() == 0}
    full = {name: tensor for name, tensor in found.items() if name not in empty}
    problems = [f"{name} is empty" for name in empty]
    problems += mismatches(full, {name: shape for name, shape in expected.items() if name not in empty})
    for name in expected.keys() & full.keys():
        if full[name].dtype != torch.float32:
            problems.append(f"{name} is {dtype_name(full[name].dtype)}, expected float32, in which it trained")
        elif not torch.isfinite(full[name]).all():
            problems.append(f"{name} is not finite")
    return sorted(problems)


def verify_adapter(
    folder: Path, *, shapes: Mapping[str, torch.Size], before: Mapping[str, torch.Tensor]
) -> dict[str, int]:
    """Read an adapter back and check that it holds what was trained.

    Args:
        folder: A PEFT folder.
        shapes: `adapter_shapes` of the model that trained.
        before: `connector_weights` before training; those that training was to change.

    Returns:
        `lora_tensors`, `connector_tensors` and `adapter_parameters`.

    Raises:
        UserError: A tensor is missing, unexpected, empty, of another shape, not float32, not finite, or unchanged by
            training.
    """
    tensors = load_file(folder / ADAPTER_WEIGHTS)
    problems = tensor_problems(tensors, shapes)
    for name, tensor in tensors.items():
        if name.endswith(".lora_B.weight") and tensor.numel() and not tensor.any():
            problems.append(f"{name} is all zero, as it was before training")
        elif name in before and not name.endswith(KEY_BIASES) and torch.equal(tensor.float(), before[name]):
            problems.append(f"{name} is what it was before training")
    if problems:
        raise UserError(f"{folder}: {len(problems)} problem(s) in the saved adapter: {'; '.join(sorted(problems)[:3])}")
    connectors = sum(connector_name(name) is not None for name in tensors)
    return {
        "lora_tensors": len(tensors) - connectors,
        "connector_tensors": connectors,
        "adapter_parameters": sum(tensor.numel() for tensor in tensors.values()),
    }
