"""MGM's connectors: the four modules that join towers and language model, and the only ones that pretraining trains.

They keep the names they have in the published weights: `mm_projector` is the MLP, and `vlm_uni_query_projector`,
`vlm_uni_aux_projector` and `vlm_uni_val_projector` give the mining's queries, keys and values ("unified VLM", as the
original calls the joined resolutions). Follows dvlab-research/MGM@769820c, Apache-2.0, without its code.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import nn

CONNECTORS = ("mm_projector", "vlm_uni_query_projector", "vlm_uni_aux_projector", "vlm_uni_val_projector")

# They add the same to every score of a block, which the softmax takes out: their gradient is zero but for rounding.
KEY_BIASES = ("vlm_uni_aux_projector.0.bias", "vlm_uni_aux_projector.1.bias")

NORM_EPS = 1e-5  # PyTorch's default, as in the original

ProjectorPart = Literal["whole", "after_norm", "transposed"]

_NAME = re.compile(rf"(?:^|\.)((?:{'|'.join(CONNECTORS)})\..+)$")


class MGMConnector(nn.Sequential):
    """A chain of layers that takes its input in whatever dtype and works in its own.

    The towers may be bfloat16 while the connectors, which train, are float32.
    """

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return super().forward(features.to(next(self.parameters()).dtype))


class MGMMiningProjector(MGMConnector):
    """LayerNorm and Linear, as each of the three `vlm_uni_*` projectors.

    `forward` has the parts that mining asks for (see `recap.models.mgm.mining`): a call, rather than a look at the
    weights from outside, so that PEFT's copies are found.
    """

    def __init__(self, input_size: int, output_size: int) -> None:
        super().__init__(nn.LayerNorm(input_size, eps=NORM_EPS), nn.Linear(input_size, output_size))

    def forward(self, features: torch.Tensor, part: ProjectorPart = "whole") -> Any:
        """Apply the projector, or a part of it.

        Args:
            features: For "whole" [..., A]. For "after_norm" [..., A] that have mean 0 and variance 1 already. For
                "transposed" [..., C], vectors to multiply with the projected features.
            part: See `features`.

        Returns:
            [..., C]; for "transposed" a direction [..., A] and an offset [..., 1], such that for any normalised x the
            product of `features` and the projected x is direction * x, summed, plus offset.
        """
        norm: Any
        linear: Any
        norm, linear = self
        features = features.to(linear.weight.dtype)
        if part == "whole":
            return linear(norm(features))
        if part == "after_norm":
            return linear(features * norm.weight + norm.bias)
        back = features @ linear.weight  # [..., A]
        # Sums of products: a matrix product with a vector rounds differently where the vector lies unaligned in memory.
        offset = (back * norm.bias).sum(-1, keepdim=True) + (features * linear.bias).sum(-1, keepdim=True)
        return back * norm.weight, offset


def multimodal_projector(input_size: int, output_size: int) -> MGMConnector:
    """The original's `mlp2x_gelu`: two Linear layers with an exact GELU between them."""
    return MGMConnector(nn.Linear(input_size, output_size), nn.GELU(), nn.Linear(output_size, output_size))


def connector_name(name: str) -> str | None:
    """The part of a dotted parameter name from the connector on, `mm_projector.0.weight`; None for other parameters.

    Whatever stands before it is a prefix: the model's own, PEFT's, or the original's.
    """
    match = _NAME.search(name)
    return match[1] if match else None


def connectors_among(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The connectors in a file's tensors, by name from the connector on; the file may hold a whole model."""
    return {found: tensor for name, tensor in tensors.items() if (found := connector_name(name))}


def connector_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """The connectors' parameters by name from the connector on, the model's own tensors and not copies."""
    named = ((connector_name(name), parameter) for name, parameter in model.named_parameters())
    return {name: parameter for name, parameter in named if name is not None}
