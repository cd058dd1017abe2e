"""What trains: conversations alone as ever, captions mixed in by their share, and what of both is left out."""

import copy
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from recap.data.corpus.images import image_digest
from recap.models.mgm.modeling_mgm import MGMForConditionalGeneration
from recap.models.mgm.processing_mgm import MGMProcessor
from recap.runtime.errors import UserError
from recap.training import trainer as trainer_module
from recap.training.dataset import RowEncoder, caption_examples, conversation_examples
from recap.training.dealing import deal
from recap.training.trainable import trained

from .conftest import World, encoder_for
from .test_trainer import KillAfter, Killed, _marker_and, finetune_params, run_fit, training_params
from .test_validation import lora_model, more_rows

Parts = tuple[MGMForConditionalGeneration, MGMProcessor]


@pytest.fixture
def encoder(world: World, mgm: Parts) -> RowEncoder:
    return encoder_for(mgm[1], world.images)


def test_without_captions_the_samples_are_those_of_earlier_versions(world: World, encoder: RowEncoder) -> None:
    """The order was written down before captions could be mixed in."""
    dealt = deal(encoder, more_rows(world), [], finetune_params(val_rows=2), 42)
    expected = [8, 6, 4, 7, 0, 2, 3, 1, 5, 8, 6, 5, 0, 2, 1, 3, 7, 4, 7, 8, 2, 0, 4, 6]
    assert dealt.order.tolist() == expected
    given = deal(encoder, more_rows(world), caption_examples(world.captions), finetune_params(val_rows=2), 42)
    assert (given.order.tolist(), given.rows) == (expected, dealt.rows)


@pytest.mark.parametrize("grouped", [False, True])
def test_every_step_has_its_share_of_captions(world: World, encoder: RowEncoder, grouped: bool) -> None:
    """6 steps of 4 samples, a quarter of them captions; text alone makes grouped steps of its own."""
    params = finetune_params(val_rows=0, caption_share=0.25, group_by_modality_length=grouped)
    dealt = deal(encoder, conversation_examples(world.conversations), caption_examples(world.captions), params, 42)
    assert [row.source for row in dealt.rows] == ["conversation"] * 7 + ["caption"] * 6
    steps = [[dealt.rows[row].source for row in step].count("caption") for step in dealt.order.reshape(6, 4)]
    assert sum(steps) == 6 and (grouped or steps == [1] * 6)
    captions = [row for row in dealt.order if row >= 7]
    assert len(set(captions)) == 6


def test_what_cannot_train_is_counted_by_its_source(world: World, encoder: RowEncoder) -> None:
    conversations, captions = conversation_examples(world.conversations), caption_examples(world.captions)
    unfit = [{"from": "human", "value": "<image>"}, {"from": "gpt", "value": "a<eos>b"}]
    conversations[1], captions[2] = (
        replace(rows[n], conversations=unfit) for n, rows in ((1, conversations), (2, captions))
    )
    params = finetune_params(val_rows=0, caption_share=0.25, max_left_out=20.0)
    dealt = deal(encoder, conversations, captions, params, 42)
    assert [(fault.where, fault.id, fault.reason) for fault in dealt.left_out] == [
        ("train.json: item 2", "q1", "label_mismatch"),
        ("train.jsonl: row 3", "c2", "label_mismatch"),
    ]
    # One in six is 16.7 %, of all thirteen rows it would be 7.7 %.
    with pytest.raises(UserError, match=r"at most 15 % .* found 1 of 6 .* train\.jsonl: row 3"):
        deal(
            encoder,
            conversations[:1] + conversations[2:],
            captions,
            params.model_copy(update={"max_left_out": 15.0}),
            42,
        )


def test_no_caption_of_a_held_out_picture_trains(world: World, mgm: Parts, tmp_path: Path) -> None:
    """The corpus has its pictures under names of its own; one is a copy of the held-out one."""
    conversations = [row for row in conversation_examples(world.conversations) if row.image]
    (held_out,) = deal(encoder_for(mgm[1], world.images), conversations, [], finetune_params(), 42).validation
    captions = [
        replace(row, image=f"photo-{number}.jpg") for number, row in enumerate(caption_examples(world.captions))
    ]
    for number, row in enumerate(caption_examples(world.captions)):
        shutil.copyfile(world.images / str(row.image), tmp_path / f"photo-{number}.jpg")
    encoder = RowEncoder(mgm[1], {"conversation": world.images, "caption": tmp_path}, "pad", 96)
    dealt = deal(encoder, conversations, captions, finetune_params(caption_share=0.25), 42)
    shown = image_digest(world.images, str(held_out.image))
    mixed_in = [row for row in dealt.rows if row.source == "caption"]
    assert dealt.held_out == 2 and len(mixed_in) == 5
    assert shown in {encoder.picture_of(row) for row in captions}
    assert shown not in {encoder.picture_of(row) for row in mixed_in}
    only = [row for row in captions if encoder.picture_of(row) == shown]
    with pytest.raises(
        UserError, match=r"no held-out conversation shows, found none among 1; lower finetune\.val_rows"
    ):
        deal(encoder, conversations, only, finetune_params(caption_share=0.25), 42)


def test_a_share_of_no_captions_at_all_is_refused(world: World, encoder: RowEncoder) -> None:
    with pytest.raises(UserError, match="found none among 0"):
        deal(encoder, conversation_examples(world.conversations), [], finetune_params(caption_share=0.25), 42)


def test_pretraining_mixes_nothing(world: World, encoder: RowEncoder) -> None:
    rows = caption_examples(world.captions)
    assert deal(encoder, rows, [], training_params(), 42).rows == rows


def test_a_caption_is_asked_as_in_pretraining(world: World, encoder: RowEncoder) -> None:
    rows = caption_examples(world.captions)
    dealt = deal(
        encoder, conversation_examples(world.conversations), rows, finetune_params(caption_share=0.5, val_rows=0), 42
    )
    assert [row for row in dealt.rows if row.source == "caption"] == rows


def test_a_killed_run_with_captions_ends_as_an_undisturbed_one(
    world: World, mgm: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = lora_model(mgm)
    first, second = copy.deepcopy(model), copy.deepcopy(model)
    run = {
        "examples": more_rows(world),
        "captions": caption_examples(world.captions),
        "params": finetune_params(val_rows=2, caption_share=0.25),
    }
    whole = run_fit(model, mgm[1], world, tmp_path / "whole", **run)
    assert {source: found["samples_seen"] for source, found in whole.metrics["by_source"].items()} == {
        "conversation": 18,
        "caption": 6,
    }
    with monkeypatch.context() as patch:
        patch.setattr(trainer_module, "CompletionMarker", _marker_and(KillAfter(5)))
        with pytest.raises(Killed):
            run_fit(first, mgm[1], world, tmp_path / "killed", **run)
    resumed = run_fit(second, mgm[1], world, tmp_path / "killed", **run)
    assert resumed.metrics == whole.metrics and resumed.samples_kept == 16
    for (name, expected), (_, found) in zip(trained(model), trained(second), strict=True):
        assert torch.equal(expected, found), name
