"""Patch info mining against its definition: loops, blocks by hand, and the plain form that projects every position."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft.utils import ModulesToSaveWrapper
from torch import nn

from recap.models.mgm.connectors import MGMMiningProjector
from recap.models.mgm.mining import blocks_of_patches, mine_patch_info, split_into_tiles


def projectors(channels: int, width: int, dtype: torch.dtype = torch.float64) -> tuple[nn.Module, nn.Module]:
    """Keys' and values' projector, with LayerNorms that are not at their start."""
    made = [MGMMiningProjector(channels, width).to(dtype) for _ in range(2)]
    for projector in made:
        for parameter in projector.parameters():
            nn.init.normal_(parameter)
    return made[0], made[1]


def plain(query: torch.Tensor, blocks: torch.Tensor, keys: nn.Module, values: nn.Module) -> torch.Tensor:
    """The original's form: keys and values of every position."""
    key, value = keys(blocks), values(blocks)
    scores = query.unsqueeze(2) @ (key / key.shape[-1] ** 0.5).transpose(-1, -2)
    return (torch.nan_to_num(scores).softmax(dim=-1) @ value).mean(dim=2)


@settings(max_examples=20)
@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 4), st.integers(0, 4), st.integers(0, 2**31))
def test_against_a_loop(images: int, side: int, block: int, rest: int, seed: int) -> None:
    """Every patch attends to the positions it covers, and to no other; a remainder is nobody's."""
    torch.manual_seed(seed)
    rest, channels, width = rest % side, 3, 4
    high = torch.randn(images, channels, side * block + rest, side * block + rest, dtype=torch.float64)
    query = torch.randn(images, side * side, width, dtype=torch.float64)
    keys, values = projectors(channels, width)
    with torch.no_grad():
        found = mine_patch_info(query, blocks_of_patches(high, side), keys, values)
        for image in range(images):
            for row in range(side):
                for column in range(side):
                    patch = row * side + column
                    corner = high[image, :, row * block :, column * block :]
                    cells = torch.stack([corner[:, y, x] for y in range(block) for x in range(block)])
                    scores = keys(cells) @ query[image, patch] / width**0.5
                    expected = scores.softmax(0) @ values(cells)
                    torch.testing.assert_close(found[image, patch], expected, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_values_and_gradients_are_those_of_the_plain_form(dtype: torch.dtype, tolerance: float) -> None:
    torch.manual_seed(0)
    keys, values = projectors(20, 6, dtype)
    query, blocks = torch.randn(2, 9, 6, dtype=dtype, requires_grad=True), torch.randn(2, 9, 4, 20, dtype=dtype)
    outcomes = []
    for form in (plain, mine_patch_info):
        pair = copy.deepcopy((keys, values))
        query.grad = None
        out = form(query, blocks, *pair)
        (out * torch.arange(out.numel(), dtype=dtype).reshape(out.shape).cos()).sum().backward()
        gradients = {f"{index}.{name}": p.grad for index, m in enumerate(pair) for name, p in m.named_parameters()}
        outcomes.append((out.detach(), {"query": query.grad, **gradients}))
    (out, gradients), (absorbed, found) = outcomes
    torch.testing.assert_close(absorbed, out, atol=tolerance, rtol=tolerance)
    for name, gradient in gradients.items():
        if name in ("0.0.bias", "0.1.bias"):
            # A key bias adds the same to every score of a block, and the softmax takes it out again.
            assert found[name].abs().max() < tolerance and gradient.abs().max() < tolerance
        else:
            torch.testing.assert_close(found[name], gradient, atol=tolerance, rtol=tolerance)


def test_the_copies_of_peft_are_used() -> None:
    torch.manual_seed(0)
    keys, values = projectors(8, 4)
    query, blocks = torch.randn(1, 4, 4, dtype=torch.float64), torch.randn(1, 4, 9, 8, dtype=torch.float64)
    wrapped = [ModulesToSaveWrapper(projector, "default") for projector in (keys, values)]
    for wrapper in wrapped:
        nn.init.normal_(wrapper.modules_to_save["default"][1].weight)
    copies = [wrapper.modules_to_save["default"] for wrapper in wrapped]
    with torch.no_grad():
        found = mine_patch_info(query, blocks, *wrapped)
        torch.testing.assert_close(found, plain(query, blocks, *copies))
        assert not torch.allclose(found, plain(query, blocks, keys, values))


def test_bfloat16_features_under_autocast_stay_in_half_the_memory() -> None:
    """Connectors that train are float32; neither they nor autocast may make float32 copies of the feature map."""
    torch.manual_seed(0)
    keys, values = projectors(64, 16, torch.float32)
    query, blocks = torch.randn(1, 4, 16), torch.randn(1, 4, 16, 64).bfloat16()
    saved: list[torch.Tensor] = []
    with (
        torch.autocast("cpu", torch.bfloat16),
        torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda tensor: tensor),
    ):
        found = mine_patch_info(query.bfloat16(), blocks, keys, values)
    assert {tensor.dtype for tensor in saved if tensor.numel() >= blocks.numel()} == {torch.bfloat16}
    torch.testing.assert_close(found.float(), plain(query, blocks.float(), keys, values), atol=0.1, rtol=0.1)


def test_blocks_by_hand() -> None:
    high = torch.arange(16.0).reshape(1, 1, 4, 4)
    blocks = blocks_of_patches(high, 2)[0, :, :, 0]
    assert blocks.tolist() == [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]


def test_tiles_by_hand() -> None:
    high = torch.arange(32.0).reshape(2, 1, 4, 4)
    tiles = split_into_tiles(high, 2)
    assert tiles.shape == (8, 1, 2, 2)
    assert tiles[1, 0].tolist() == [[2, 3], [6, 7]]
    assert tiles[4, 0].tolist() == [[16, 17], [20, 21]]


@pytest.mark.parametrize("value", [float("inf"), -float("inf")])
def test_infinite_scores_do_not_spread(value: float) -> None:
    torch.manual_seed(0)
    query = torch.zeros(1, 1, 4, dtype=torch.float64)
    query[..., 0] = value
    with torch.no_grad():
        assert torch.isfinite(mine_patch_info(query, torch.randn(1, 1, 2, 8).double(), *projectors(8, 4))).all()
