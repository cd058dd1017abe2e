"""Which tensors keep a file from being a model's."""

from collections.abc import Mapping

import torch


def mismatches(
    found: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Size], *, shown: int | None = None
) -> list[str]:
    """Tensors that a model lacks, that it has no place for, or that have another shape; by kind, then by name.

    Args:
        found: By name.
        wanted: The shapes that the model has, by the same names.
        shown: How many of a kind are named.
    """
    both = sorted(wanted.keys() & found.keys())
    kinds = (
        [f"missing {name}" for name in sorted(wanted.keys() - found.keys())],
        [f"unexpected {name}" for name in sorted(found.keys() - wanted.keys())],
        [
            f"{name} has shape {list(found[name].shape)}, expected {list(wanted[name])}"
            for name in both
            if found[name].shape != wanted[name]
        ],
    )
    return [problem for kind in kinds for problem in shortened(kind, shown)]


def shortened(problems: list[str], shown: int | None) -> list[str]:
    """The first few, and how many more there are; all if `shown` is None."""
    if shown is None or len(problems) <= shown:
        return problems
    return [*problems[:shown], f"... and {len(problems) - shown} more like it"]


def shapes(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Size]:
    """The shape of each tensor, by name."""
    return {name: tensor.shape for name, tensor in tensors.items()}
