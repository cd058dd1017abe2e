"""Counts on fake tensors, against the same code on real ones, and against what the allocator was asked for."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from recap.rehearsal.count import (
    Parts,
    count_answer,
    count_caption,
    count_merge,
    count_operations,
    count_training,
)
from recap.rehearsal.memory import ACTIVATIONS, BATCHES, GRADIENTS, LOGITS, OPTIMIZER, WEIGHTS
from recap.rehearsal.places import Fakes, OnDevice, Place
from recap.rehearsal.profile import Profile
from recap.rehearsal.steps import build_for_answering

from .conftest import read_tiny

FLOAT = 4
CPU = OnDevice(torch.device("cpu"))

Counting = Callable[[Profile, Place | None], Parts]


def training(stage: str, *, checkpointing: bool) -> Counting:
    return lambda tiny, place: count_training(
        tiny, stage, micro_batch=3, tokens=200, checkpointing=checkpointing, place=place
    )


EVERY_STAGE: dict[str, Counting] = {
    "pretrain": training("pretrain", checkpointing=False),
    "pretrain with checkpointing": training("pretrain", checkpointing=True),
    "finetune": training("finetune", checkpointing=False),
    "finetune with checkpointing": training("finetune", checkpointing=True),
    "merge": lambda tiny, place: count_merge(tiny, 200, place),
    "caption": lambda tiny, place: count_caption(tiny, 4, place),
    "answer": lambda tiny, place: count_answer(tiny, 4, 200, place),
}


@pytest.mark.parametrize("count", EVERY_STAGE.values(), ids=EVERY_STAGE)
@pytest.mark.parametrize("models", ["shallow", pytest.param("tiny", marks=pytest.mark.slow)])
def test_fakes_and_real_tensors_hold_the_same(models: str, count: Counting, request: pytest.FixtureRequest) -> None:
    profile: Profile = request.getfixturevalue(models)
    assert count(profile, None) == count(profile, CPU)


@pytest.mark.slow
def test_fakes_follow_autocast(tiny: Profile) -> None:
    bfloat16 = replace(tiny, dtype=torch.bfloat16)
    count = training("finetune", checkpointing=True)
    assert count(bfloat16, None) == count(bfloat16, CPU)
    assert sum(count(bfloat16, None).values()) < sum(count(tiny, None).values())


@pytest.mark.slow
@pytest.mark.parametrize("count", EVERY_STAGE.values(), ids=EVERY_STAGE)
def test_the_count_is_what_the_allocator_sees(tiny: Profile, count: Counting) -> None:
    """PyTorch's profiler also sees what kernels allocate and free within one operation."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        counted = sum(count(tiny, CPU).values())
    events = [event for event in seen.profiler.kineto_results.events() if event.name() == "[memory]"]
    alive = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        alive += event.nbytes()
        peak = max(peak, alive)
    assert counted == pytest.approx(peak, rel=1e-3)


def test_parts_that_can_be_worked_out(tiny: Profile) -> None:
    """Stage 1 trains the connectors: a float32 each, as much again in gradients, twice as much in AdamW's state."""
    parts = training("pretrain", checkpointing=False)(tiny, None)
    low, high = tiny.mgm.vision_config.hidden_size, tiny.mgm.hidden_size_aux
    width = tiny.mgm.text_config.hidden_size
    norms_and_linears = 2 * low + (low + 1) * low + 2 * (2 * high + (high + 1) * low)
    trained = norms_and_linears + (low + 1) * width + (width + 1) * width
    assert parts[GRADIENTS] == trained * FLOAT
    # 16 tensors have a step count each.
    assert parts[OPTIMIZER] == 2 * trained * FLOAT + 16 * FLOAT
    side, side_aux = tiny.mgm.vision_config.image_size, tiny.mgm.image_size_aux
    ids_and_labels, pixels = 2 * 200 * 8, 3 * (side**2 + side_aux**2) * FLOAT
    assert parts[BATCHES] == 3 * (ids_and_labels + pixels)
    assert parts[ACTIVATIONS] > parts[BATCHES]


LEAST: dict[str, Any] = {"micro_batch": 2, "tokens": 150, "checkpointing": True}


@pytest.fixture(scope="module")
def least_memory(root: Path) -> int:
    return sum(count_training(read_tiny(root), "finetune", **LEAST).values())


@pytest.mark.slow
@pytest.mark.parametrize(
    "more", [{"micro_batch": 4}, {"tokens": 250}, {"checkpointing": False}], ids=lambda more: next(iter(more))
)
def test_more_of_anything_costs_memory(tiny: Profile, least_memory: int, more: dict[str, Any]) -> None:
    assert sum(count_training(tiny, "finetune", **(LEAST | more)).values()) > least_memory


@pytest.mark.slow
def test_candidates_share_one_encoding_of_their_image(tiny: Profile) -> None:
    """Four times the images cost the vision tower's activations four times, four candidates of an image do not."""

    def activations(images: int, candidates: int) -> float:
        caption = tiny.params.caption.model_copy(update={"candidates": candidates, "do_sample": candidates > 1})
        params = tiny.params.model_copy(update={"caption": caption})
        return count_caption(replace(tiny, params=params), images)[ACTIVATIONS]

    assert activations(64, 1) > 3.5 * activations(16, 1)
    assert activations(16, 4) < 2 * activations(16, 1)


def test_under_zero3_the_logits_of_all_labelled_positions_exist_at_once(shallow: Profile) -> None:
    """A chunk is 512 of them."""
    setting: dict[str, Any] = {"micro_batch": 4, "tokens": 1000, "checkpointing": True}
    usual, whole = (count_training(shallow, "finetune", **setting, whole_loss=whole) for whole in (False, True))
    assert whole[LOGITS] > usual[LOGITS]
    assert sum(whole.values()) > sum(usual.values())


def test_tied_weights_are_one_fake(tiny: Profile) -> None:
    model = build_for_answering(tiny.mgm, Fakes(), torch.float32)
    assert model.lm_head.weight is model.model.language_model.embed_tokens.weight
    parts = count_answer(tiny, 1, 200)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    buffers = sum(buffer.nbytes for buffer in model.buffers())
    assert parts[WEIGHTS] == parameters * FLOAT + buffers


def test_operations_grow_with_the_batch(shallow: Profile) -> None:
    one, two = (count_operations(shallow, "pretrain", micro_batch=rows, tokens=200) for rows in (1, 2))
    assert two == pytest.approx(2 * one, rel=0.01)
