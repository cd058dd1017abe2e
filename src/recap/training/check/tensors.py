"""Tensors of a folder, looked at one by one: what they are, and which of them cannot be right."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from recap.io import read_json
from recap.models.loading import dtype_name
from recap.models.mgm.checkpoint import read_tensors, weight_files
from recap.models.mgm.connectors import CONNECTORS, MGMMiningProjector, multimodal_projector
from recap.models.mgm.mismatch import mismatches, shortened
from recap.models.presence import shard_index
from recap.runtime.errors import UserError

SHOWN = 3  # problems of one kind that are named


@dataclass
class Survey:
    """Tensors without their numbers.

    Attributes:
        tensors: On the meta device, by name.
        problems: Tensors that are empty or not finite, and matrices that are all zero. Biases may be zero; LoRA's
            matrices are judged by the check of adapters.
    """

    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def dtypes(self) -> Counter[str]:
        """How many tensors there are of each dtype, as "float32"."""
        return Counter(dtype_name(tensor.dtype) for tensor in self.tensors.values())

    def summary(self) -> str:
        """The tensors in a few words."""
        numbers = sum(tensor.numel() for tensor in self.tensors.values())
        return (
            f"{len(self.tensors)} tensors, {numbers / 1e6:,.2f} M numbers, {', '.join(sorted(self.dtypes()))}, finite"
        )


def survey(tensors: Iterable[tuple[str, torch.Tensor]]) -> Survey:
    """Look at each tensor once."""
    found = Survey()
    for name, tensor in tensors:
        found.tensors[name] = tensor.to("meta")
        if tensor.numel() == 0:
            found.problems.append(f"{name} is empty: ZeRO-3 leaves such shells outside its own forward and backward")
        elif not torch.isfinite(tensor).all():
            found.problems.append(f"{name} is not finite")
        elif tensor.ndim > 1 and tensor.is_floating_point() and ".lora_" not in name and not tensor.any():
            found.problems.append(f"{name} is all zero")
    return found


def shard_problems(folder: Path) -> list[str]:
    """Files that are missing or damaged, and tensors that lie elsewhere than the index says."""
    files = weight_files(folder)
    weight_map: dict[str, str] = read_json(index)["weight_map"] if (index := shard_index(folder)) else {}
    problems = []
    for file in files:
        try:
            names = read_tensors(file).keys()
        except UserError as error:
            problems.append(str(error))
            continue
        if weight_map:
            promised = {name for name, place in weight_map.items() if place == file.name}
            problems += shortened([f"{file.name}: lacks {name}" for name in sorted(promised - names)], SHOWN)
            problems += shortened(
                [f"{file.name}: the index does not name {name}" for name in sorted(names - promised)], SHOWN
            )
    return problems


def connector_problems(found: Mapping[str, torch.Tensor]) -> list[str]:
    """What keeps tensors, by their names from the connector on, from being one model's 16 connectors.

    Their sizes are read off two of them; all others have to agree.
    """
    width, low = _shape(found.get("mm_projector.0.weight"))
    _, high = _shape(found.get("vlm_uni_aux_projector.1.weight"))
    with torch.device("meta"):
        modules = [multimodal_projector(low, width), *(MGMMiningProjector(size, low) for size in (low, high, high))]
    wanted = {
        f"{connector}.{name}": tensor.shape
        for connector, module in zip(CONNECTORS, modules, strict=True)
        for name, tensor in module.state_dict().items()
    }
    return mismatches(found, wanted, shown=SHOWN)


def _shape(weight: torch.Tensor | None) -> tuple[int, int]:
    """Outputs and inputs of a linear layer; any where it is missing or is none, which is a problem of its own."""
    return (weight.shape[0], weight.shape[1]) if weight is not None and weight.ndim == 2 else (1, 1)
