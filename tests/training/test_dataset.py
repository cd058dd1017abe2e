"""Rows as model inputs: what each row becomes, which rows are left out, and what a broken image does."""

from pathlib import Path

import numpy as np
import pytest

from recap.io import write_json
from recap.models.mgm.modeling_mgm import MGMForConditionalGeneration
from recap.models.mgm.processing_mgm import MGMProcessor
from recap.runtime.errors import UserError
from recap.training.dataset import (
    Example,
    TrainingSamples,
    caption_examples,
    conversation_examples,
)

from .conftest import World, encoder_for

Parts = tuple[MGMForConditionalGeneration, MGMProcessor]


def conversation(answer: str) -> list[dict[str, str]]:
    return [{"from": "human", "value": "<image>\nwhat?"}, {"from": "gpt", "value": answer}]


def test_a_caption_is_one_turn_after_the_image(world: World) -> None:
    first = caption_examples(world.captions)[0]
    assert first == Example(
        where="train.jsonl: row 1",
        id="c0",
        image="images/0.jpg",
        conversations=[
            {"from": "human", "value": "<image>"},
            {"from": "gpt", "value": "a red sign that says 0"},
        ],
        source="caption",
    )


def test_a_caption_trains_exactly_its_tokens_and_its_end(world: World, mgm: Parts) -> None:
    _, processor = mgm
    inputs = encoder_for(processor, world.images).encode(caption_examples(world.captions)[0])
    learnt = inputs["labels"][inputs["labels"] != -100]
    assert processor.tokenizer.decode(learnt) == "a red sign that says 0<end_of_turn>\n<eos>"
    assert (inputs["input_ids"] == processor.image_token_id).sum() == processor.num_image_tokens


def test_conversations_keep_text_only_rows(world: World) -> None:
    examples = conversation_examples(world.conversations)
    assert [example.image for example in examples[-2:]] == ["images/5.jpg", None]
    assert examples[-1].where == "train.json: item 7"


def test_several_images_in_an_item_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    write_json(path, [{"id": "a", "image": ["x.png", "y.png"], "conversations": []}])
    with pytest.raises(UserError, match=r"item 1: expected the path of one image"):
        conversation_examples(path)


def test_rows_that_cannot_train_are_left_out_with_a_reason(mgm: Parts) -> None:
    _, processor = mgm
    turns = {
        "good": conversation("red"),
        "eos": conversation("red<eos>or not"),
        "long": [{"from": "human", "value": "<image>\n" + "x" * 99}, {"from": "gpt", "value": "red"}],
        "gpt first": [{"from": "gpt", "value": "hello"}, *conversation("red")],
        "two questions": [{"from": "human", "value": "why?"}, *conversation("red")],
    }
    examples = [
        Example(f"train.json: item {number}", name, "images/0.jpg", value)
        for number, (name, value) in enumerate(turns.items(), start=1)
    ]
    kept, left_out = encoder_for(processor, Path(), 64).screen(examples, max_left_out=80)
    assert [example.id for example in kept] == ["good", "gpt first"]
    assert [(fault.where, fault.id, fault.reason) for fault in left_out] == [
        ("train.json: item 2", "eos", "label_mismatch"),
        ("train.json: item 3", "long", "nothing_to_learn"),
        ("train.json: item 5", "two questions", "label_mismatch"),
    ]
    with pytest.raises(
        UserError, match=r"at most 59 %.*found 3 of 5 \(60\.0 %\); first: train\.json: item 2 \(id eos\)"
    ):
        encoder_for(processor, Path(), 64).screen(examples, max_left_out=59)


def test_no_row_left_is_an_error(mgm: Parts) -> None:
    with pytest.raises(UserError, match="found none among 1"):
        encoder_for(mgm[1], Path(), 64).screen([Example("w", "i", "x.png", conversation("a<eos>b"))], max_left_out=100)


def test_screening_and_encoding_agree(world: World, mgm: Parts) -> None:
    """What `screen` lets through encodes without an error at any length."""
    _, processor = mgm
    examples = conversation_examples(world.conversations)
    for length in range(20, 80, 7):
        encoder = encoder_for(processor, world.images, length)
        try:
            kept, _ = encoder.screen(examples, max_left_out=100)
        except UserError:
            continue
        for example in kept:
            inputs = encoder.encode(example)
            assert (inputs["labels"] != -100).any()
            assert len(inputs["labels"]) <= length


def test_samples_follow_the_order_dealt(world: World, mgm: Parts) -> None:
    _, processor = mgm
    examples = caption_examples(world.captions)
    order = np.array([5, 0, 5])
    samples = TrainingSamples(examples, order, encoder_for(processor, world.images))
    assert len(samples) == 3
    assert samples[0]["labels"].tolist() == samples[2]["labels"].tolist() != samples[1]["labels"].tolist()


def test_a_broken_image_names_its_row(world: World, mgm: Parts) -> None:
    lost = Example("train.jsonl: row 3", "c2", "images/lost.png", conversation("red"))
    with pytest.raises(UserError, match=r"train\.jsonl: row 3 \(id c2\): missing_image: .*run prepare again"):
        encoder_for(mgm[1], world.images).encode(lost)
