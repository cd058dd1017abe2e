"""One process reads the pretrained parts; the others get the model from it, tensor by tensor.

Eight processes that each read 7 GB of weights would want 56 GB of host memory for as long as that takes.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import distributed, nn

from recap.models.mgm.modeling_mgm import MGMForConditionalGeneration
from recap.models.mgm.processing_mgm import MGMProcessor
from recap.runtime.ranks import from_rank_zero, world_size

Built = tuple[MGMForConditionalGeneration, MGMProcessor]


def built_once(build: Callable[[], Built], device: torch.device) -> Built:
    """What `build` returns on rank 0, on every rank.

    Args:
        build: Reads the model's folders; called on rank 0 alone.
        device: Where the model goes if there are several processes; alone it stays where it was built.
    """
    if world_size() == 1:
        return build()
    own: Any = None

    def describe() -> Any:
        nonlocal own
        own, processor = build()
        return own.config, own.generation_config, processor, {name: tensor.dtype for name, tensor in _tensors(own)}

    config, generation_config, processor, dtypes = from_rank_zero(describe)
    model = own.to(device) if own is not None else _shell(config, dtypes, device)
    model.generation_config = generation_config
    for _, tensor in _tensors(model):
        distributed.broadcast(tensor.data, src=0)
    return model, processor


def _shell(config: Any, dtypes: dict[str, torch.dtype], device: torch.device) -> MGMForConditionalGeneration:
    """A model like rank 0's, with memory for its weights and none of their values."""
    with torch.device("meta"):
        model = MGMForConditionalGeneration(config)
    for name, tensor in _tensors(model):
        tensor.data = tensor.data.to(dtypes[name])
    model.to_empty(device=device)
    model.tie_weights()
    model.model.freeze_towers()
    return model.train()


def _tensors(model: nn.Module) -> list[tuple[str, torch.Tensor]]:
    """Parameters and buffers, also those that no checkpoint holds, in one order on every rank."""
    return [*model.named_parameters(), *model.named_buffers()]
