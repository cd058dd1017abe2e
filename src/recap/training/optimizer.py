"""Which trained parameter learns how fast: LoRA's matrices and the connectors have a rate each.

LoRA learns at about ten times the rate of full finetuning, and the connectors, which are trained whole, do not bear
that. All rates follow one schedule.
"""

from typing import Any

from torch import nn
from transformers import Trainer, TrainingArguments

from recap.models.mgm.connectors import connector_name
from recap.params import FinetuneParams, TrainingParams


def parameter_groups(model: nn.Module, params: TrainingParams) -> list[dict[str, Any]]:
    """What trains in `model`, as PyTorch's parameter groups with "lr" and "weight_decay"; LoRA comes first.

    The first group's rate is the one that the Trainer logs. Biases and LayerNorms do not decay.
    """
    connectors = params.connector_learning_rate if isinstance(params, FinetuneParams) else params.learning_rate
    norms = {name for name, module in model.named_modules() if isinstance(module, nn.LayerNorm)}
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {
        (is_connector, decays): [] for is_connector in (False, True) for decays in (True, False)
    }
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            owner, _, kind = name.rpartition(".")
            groups[connector_name(name) is not None, kind != "bias" and owner not in norms].append(parameter)
    return [
        {
            "params": members,
            "lr": connectors if is_connector else params.learning_rate,
            "weight_decay": params.weight_decay if decays else 0.0,
        }
        for (is_connector, decays), members in groups.items()
        if members
    ]


def optimizer_recipe(model: nn.Module, params: TrainingParams, arguments: TrainingArguments) -> tuple[Any, Any]:
    """The Trainer's optimizer over `parameter_groups`, as its argument `optimizer_cls_and_kwargs`."""
    optimizer, settings = Trainer.get_optimizer_cls_and_kwargs(arguments)
    return optimizer, {**settings, "params": parameter_groups(model, params)}
