"""Patch info mining: each low-resolution patch attends to the high-resolution positions that it covers.

Section 3.2 of arXiv:2403.18814; mgm/model/mgm_arch.py of dvlab-research/MGM@769820c has the function in another form.
Shapes: I images, V views of images at low resolution, N low-resolution patches, P high-resolution positions per patch,
C width of CLIP, A channels of all ConvNeXt stages.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from recap.models.mgm.connectors import NORM_EPS


def mine_patch_info(
    query: torch.Tensor, blocks: Iterable[torch.Tensor], keys: nn.Module, values: nn.Module
) -> torch.Tensor:
    """Attention of each low-resolution patch over its block: softmax(query * keys(block) / sqrt(C)) of values(block).

    There is one query for P positions, so the projections move to the other side of both products: the query is taken
    back through the keys' projector, and what is summed under the weights, which add up to 1, is projected once. The
    function is the same; keys and values are never computed, nor stored for the backward pass, which saves a factor of
    about 60 in operations.

    One head; the softmax runs in the working dtype, which is the query's, as in the original.

    Args:
        query: [V, N, C].
        blocks: For each view [N, P, A]. They are asked for one after the other, and may be made on the way: at full
            size one takes 212 MB in bfloat16.
        keys: An `MGMMiningProjector` from A to C, or a wrapper around one.
        values: Likewise.

    Returns:
        [V, N, C].
    """
    direction, offset = keys(query, part="transposed")
    # All modules are called on whole batches: under ZeRO-3 every process has to call each of them equally often.
    mined = [
        _weighted_sum(*view, scale=query.shape[-1] ** -0.5, dtype=query.dtype)
        for view in zip(direction, offset, blocks, strict=True)
    ]
    return values(torch.stack(mined), part="after_norm")


def _weighted_sum(
    direction: torch.Tensor, offset: torch.Tensor, block: torch.Tensor, *, scale: float, dtype: torch.dtype
) -> torch.Tensor:
    """Of the normalised positions of one view: [N, A], [N, 1], [N, P, A] -> [N, A]."""
    # Both projectors begin by normalising the same positions. Autocast would do that in float32, at twice the memory.
    with torch.autocast(block.device.type, enabled=False):
        normalised = F.layer_norm(block.to(dtype), block.shape[-1:], eps=NORM_EPS)
    scores = (normalised @ direction.unsqueeze(-1).to(dtype)).squeeze(-1) + offset  # [N, P]
    # The offset is the same for all of a block's positions: it matters where a score is infinite, and nowhere else.
    weights = torch.nan_to_num(scores.to(dtype) * scale).softmax(dim=-1)
    return (weights.unsqueeze(1).to(dtype) @ normalised).squeeze(1)


def side_by_side(stages: Sequence[torch.Tensor]) -> torch.Tensor:
    """All ConvNeXt stages at the size of the first: [I, C0, H, W], [I, C1, H/2, W/2], ... -> [I, A, H, W]."""
    size = stages[0].shape[-2:]
    with torch.autocast(stages[0].device.type, enabled=False):
        return torch.cat([stages[0], *(resize(stage, size=size) for stage in stages[1:])], dim=1)


def resize(features: torch.Tensor, **target: Any) -> torch.Tensor:
    """Bilinear resize in float32, back in the dtype it came in."""
    resized = F.interpolate(features.float(), mode="bilinear", align_corners=False, **target)
    return resized.to(features.dtype)


def blocks_of_patches(features: torch.Tensor, patches_per_side: int) -> torch.Tensor:
    """Group a feature map by the low-resolution patch that covers each position.

    With p = width // patches_per_side, patch (r, c) owns rows r*p.. and columns c*p..; positions beyond
    patches_per_side * p belong to no patch.

    Args:
        features: [I, A, H, W] with H = W.
        patches_per_side: n; patches are numbered row by row, r * n + c.

    Returns:
        [I, n*n, p*p, A], positions inside a block row by row.
    """
    images, channels, _, width = features.shape
    n, p = patches_per_side, width // patches_per_side
    grid = features[:, :, : n * p, : n * p].reshape(images, channels, n, p, n, p)
    return grid.permute(0, 2, 4, 3, 5, 1).reshape(images, n * n, p * p, channels)


def split_into_tiles(features: torch.Tensor, grid: int) -> torch.Tensor:
    """Cut maps into grid x grid tiles, row by row: [I, A, H, W] -> [I*grid*grid, A, H/grid, W/grid]."""
    images, channels, height, width = features.shape
    height, width = height // grid, width // grid
    tiles = features[:, :, : grid * height, : grid * width].reshape(images, channels, grid, height, grid, width)
    return tiles.permute(0, 2, 4, 1, 3, 5).reshape(-1, channels, height, width)
