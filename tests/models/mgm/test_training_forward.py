"""What a training step leaves out: each saving gives the loss and gradients of the plain computation."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from mgm_tiny import IMAGE, batch, tiny
from torch import nn
from torch.nn import functional as F
from transformers.loss.loss_utils import ForCausalLMLoss

from recap.models.mgm.connectors import connector_parameters
from recap.models.mgm.modeling_mgm import MGMForConditionalGeneration

Batch = dict[str, torch.Tensor]


@pytest.fixture
def model() -> MGMForConditionalGeneration:
    return tiny()


@pytest.fixture
def given() -> Batch:
    """Rows of different lengths, the second of them text alone with a blank image, padded on the right."""
    made = batch([1, 0, 1], images=3, text=9)
    made["input_ids"][0, -4:] = made["attention_mask"][0, -4:] = 0
    made["labels"][0, -4:] = -100
    made["labels"][:, ::3] = -100
    return made


def gradients(model: nn.Module, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def assert_same(model: nn.Module, found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-6)
    ours, theirs = gradients(model, found), gradients(model, expected)
    assert ours.keys() == theirs.keys()
    for name, gradient in theirs.items():
        torch.testing.assert_close(ours[name], gradient, atol=1e-6, rtol=1e-4, msg=lambda text, n=name: f"{n}: {text}")


@pytest.mark.parametrize("chunk", [512, 7, 1])
@pytest.mark.parametrize("num_items", [None, 50, torch.tensor(50)])
def test_the_loss_at_labelled_positions_is_that_of_all_logits(
    model: MGMForConditionalGeneration, given: Batch, monkeypatch: pytest.MonkeyPatch, chunk: int, num_items: Any
) -> None:
    monkeypatch.setattr(model, "loss_chunk", chunk)
    model.train()
    found = model(**given, num_items_in_batch=num_items)
    assert found.logits is None
    logits = model(**given, return_logits=True).logits
    expected = ForCausalLMLoss(logits, given["labels"], logits.shape[-1], num_items_in_batch=num_items)
    assert_same(model, found.loss, expected)


def test_the_head_sees_labelled_positions_alone(model: MGMForConditionalGeneration, given: Batch) -> None:
    rows: list[int] = []
    model.lm_head.register_forward_hook(lambda _, inputs, output: rows.append(inputs[0].shape[0]))
    model.train()(**given)
    assert rows == [int((given["labels"][:, 1:] != -100).sum())]


def test_logits_come_with_a_loss_outside_training(model: MGMForConditionalGeneration, given: Batch) -> None:
    assert model.eval()(**given).logits.shape[:2] == given["input_ids"].shape
    assert model.eval()(**given, return_logits=False).logits is None


def test_no_mask_and_no_cache_where_none_is_needed(
    model: MGMForConditionalGeneration, given: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.set_attn_implementation("sdpa")
    model.train()
    expected = model(**given)
    calls: list[tuple[bool, bool]] = []
    plain = F.scaled_dot_product_attention

    def record(*args: Any, attn_mask: Any = None, is_causal: bool = False, **kwargs: Any) -> torch.Tensor:
        calls.append((attn_mask is None, is_causal))
        return plain(*args, attn_mask=attn_mask, is_causal=is_causal, **kwargs)

    monkeypatch.setattr(F, "scaled_dot_product_attention", record)
    found = model(**{name: value for name, value in given.items() if name != "attention_mask"})
    layers = model.config.text_config.num_hidden_layers
    assert calls[-layers:] == [(True, True)] * layers
    assert found.past_key_values is None
    assert_same(model, found.loss, expected.loss)


def tower_calls(model: MGMForConditionalGeneration, seen: Callable[[torch.Tensor], Any]) -> list[Any]:
    calls: list[Any] = []
    for tower in (model.model.vision_tower, model.model.vision_tower_aux):
        tower.register_forward_hook(lambda _, inputs, output: calls.append(seen(output.last_hidden_state)))
    return calls


def test_frozen_towers_run_outside_autocast(model: MGMForConditionalGeneration, given: Batch) -> None:
    for tower in (model.model.vision_tower, model.model.vision_tower_aux):
        tower.to(torch.bfloat16)
    calls = tower_calls(model, lambda output: (output.dtype, torch.is_autocast_enabled("cpu")))
    with torch.autocast("cpu", torch.float16):
        model.train()(**given)
    assert calls == [(torch.bfloat16, False)] * 2
    model.model.vision_tower.requires_grad_(True)
    with torch.autocast("cpu", torch.bfloat16):
        model(**given)
    assert [autocast for _, autocast in calls[2:]] == [False, True]  # ConvNeXt runs first


def text_alone(given: Batch) -> Batch:
    ids = given["input_ids"].clamp(3, 90)
    return {"input_ids": ids, "labels": ids.clone()}


def test_text_alone_runs_no_tower_and_gives_connectors_a_gradient_of_zero(
    model: MGMForConditionalGeneration, given: Batch
) -> None:
    calls = tower_calls(model, lambda output: output.shape)
    found = model.train()(**text_alone(given)).loss
    expected = model.eval()(**text_alone(given)).loss
    assert calls == []
    torch.testing.assert_close(found, expected)
    found.backward()
    for name, parameter in connector_parameters(model).items():
        assert parameter.grad is not None and not parameter.grad.any(), name


def test_a_row_without_an_image_may_bring_none(model: MGMForConditionalGeneration, given: Batch) -> None:
    """The original gives it a blank one, which nothing refers to."""
    model.train()
    placeholders = given["input_ids"] == IMAGE
    with_image = placeholders.any(dim=1)
    assert with_image.tolist().count(False) == 1 and len(given["pixel_values"]) == len(with_image)
    own = {name: given[name][with_image] for name in ("pixel_values", "pixel_values_aux")}
    assert_same(model, model(**given | own).loss, model(**given).loss)


def test_under_zero3_text_alone_runs_the_towers(model: MGMForConditionalGeneration, given: Batch) -> None:
    """Other processes run them, and every one has to take part in gathering their parameters."""
    expected = copy.deepcopy(model).train()(**text_alone(given)).loss
    next(model.parameters()).ds_id = 0
    calls = tower_calls(model, lambda output: output.shape[0])
    found = model.train()(**text_alone(given)).loss
    assert calls == [1, 1]
    torch.testing.assert_close(found, expected)
