"""Prompts, token ids, labels and batches, exactly as the original's."""

from pathlib import Path
from typing import Any

import mgm_golden as golden
import pytest
import torch
from mgm_folders import picture
from PIL import Image
from transformers import AutoImageProcessor, AutoProcessor, AutoTokenizer

from recap.models.mgm.configuration_mgm import MGMConfig
from recap.models.mgm.conversation import LabelMismatch, image_first, training_text
from recap.models.mgm.image_processing_mgm import MGMImageProcessor
from recap.models.mgm.processing_mgm import MGMProcessor

BOS, IMAGE = 2, -200
CONVERSATIONS = (
    "single_turn_image",
    "image_token_last",
    "multi_turn_image",
    "text_only",
    "text_multi_turn",
    "starts_with_gpt",
    "two_image_tokens",
)


@pytest.fixture(scope="module")
def cases(slice_of_reference: Path) -> Any:
    return golden.read(slice_of_reference, "data_cases.json")


@pytest.fixture(scope="module")
def tokenizer(assets: Path) -> Any:
    return AutoTokenizer.from_pretrained(assets / "toy_tokenizer")


@pytest.fixture(scope="module")
def processor(tokenizer: Any) -> MGMProcessor:
    return MGMProcessor(MGMImageProcessor(image_size=42, image_size_aux=96), tokenizer, num_image_tokens=9)


def talk(*messages: str) -> list[dict[str, str]]:
    return [{"from": "human" if place % 2 == 0 else "gpt", "value": text} for place, text in enumerate(messages)]


class TestPrompts:
    def test_text_and_ids(self, processor: MGMProcessor, cases: Any) -> None:
        for case in cases["prompts"]:
            if case["question"] != "(multi-turn)":
                assert processor.prompt(case["question"]) == case["prompt"]
            assert processor.tokenize(case["prompt"]) == case["input_ids"]

    def test_ids_around_images(self, processor: MGMProcessor, cases: Any) -> None:
        for case in [*cases["tokenizer_image_token"], cases["preprocess_plain"]]:
            text = case.get("text", "<image>a cat\n")
            assert processor.tokenize(text) == case["input_ids"], text

    def test_without_an_image(self, processor: MGMProcessor) -> None:
        expected = "<start_of_turn>user\nhi<end_of_turn>\n<start_of_turn>model\n"
        assert processor.prompt("hi", with_image=False) == expected

    def test_a_question_cannot_bring_its_own_image(self, processor: MGMProcessor) -> None:
        assert processor.prompt("what is <image> here?").count("<image>") == 1
        assert processor.prompt("what is <image> here?", with_image=False).count("<image>") == 0

    def test_benchmark_drivers(self, processor: MGMProcessor, slice_of_reference: Path) -> None:
        drivers = golden.read(slice_of_reference, "eval_drivers.json")
        for question, call in zip(drivers["textvqa_questions"], drivers["textvqa_calls"], strict=True):
            assert processor.tokenize(processor.prompt(question["text"])) == call["input_ids"]
        instruction = "\nAnswer with the option's letter from the given choices directly."
        for kind in ("mmbench_single", "mmbench_all_rounds"):
            for answer, call in zip(drivers[f"{kind}_answers"], drivers[f"{kind}_calls"], strict=True):
                prompt = processor.prompt(answer["prompt"] + instruction)
                assert "<bos>" + prompt.replace("<image>", "") == call["prompt_decoded"]


class TestLabels:
    @pytest.mark.parametrize("name", CONVERSATIONS)
    def test_ids_and_labels(self, processor: MGMProcessor, cases: Any, name: str) -> None:
        case = cases["preprocess_gemma"][name]
        ids, labels = processor.encode_text(case["conversation"], has_image=case["has_image"])
        assert ids == case["input_ids"]
        assert labels == case["labels"]
        if case["has_image"]:
            moved = [image_first(message["value"]) for message in case["conversation"]]
            assert moved == case["after_preprocess_multimodal"]

    def test_the_mismatch_that_the_original_masks_whole_is_an_error(self, processor: MGMProcessor, cases: Any) -> None:
        case = cases["preprocess_gemma"]["answer_contains_eos_text"]
        assert set(case["labels"]) == {-100}
        with pytest.raises(LabelMismatch, match="add up to 14 tokens, the conversation has 18"):
            processor.encode_conversation(case["conversation"], picture())

    def test_every_fixture_is_tested(self, cases: Any) -> None:
        assert {*CONVERSATIONS, "answer_contains_eos_text"} == set(cases["preprocess_gemma"])

    @pytest.mark.parametrize(
        ("conversation", "has_image", "message"),
        [
            ([], False, "alternate"),
            (talk("a", "b")[::-1][:1], False, "alternate"),
            ([*talk("a"), *talk("b")], False, r"found \['human', 'human'\]"),
            ([{"from": "system", "value": "a"}, *talk("b")], False, "alternate"),
            (talk("<image>\na", "b"), False, "1 messages with <image>, but 0 image"),
            (talk("<image>\na", "b", "<image>\nc", "d"), True, "2 messages with <image>, but 1 image"),
        ],
    )
    def test_conversations_that_cannot_be_used(self, conversation: Any, has_image: bool, message: str) -> None:
        with pytest.raises(LabelMismatch, match=message):
            training_text(conversation, has_image=has_image)

    def test_a_question_without_an_answer(self, processor: MGMProcessor) -> None:
        with pytest.raises(LabelMismatch, match="add up to"):
            processor.encode_text(talk("a"), has_image=False)


class TestSamples:
    def test_image_tokens_are_expanded_and_unlabelled(self, processor: MGMProcessor) -> None:
        image = picture()
        found = processor.encode_conversation(talk("<image>\nhi", "yo"), image, image_aspect_ratio="square")
        ids, labels = processor.encode_text(talk("<image>\nhi", "yo"), has_image=True)
        place = ids.index(IMAGE)
        assert found["input_ids"].tolist() == [*ids[:place], *[IMAGE] * 9, *ids[place + 1 :]]
        assert found["labels"].tolist() == [*labels[:place], *[-100] * 9, *labels[place + 1 :]]
        pixels = processor.image_processor(image, image_aspect_ratio="square")
        assert torch.equal(found["pixel_values"], pixels["pixel_values"][0])
        assert torch.equal(found["pixel_values_aux"], pixels["pixel_values_aux"][0])

    def test_text_only_samples_have_no_image(self, processor: MGMProcessor) -> None:
        found = processor.encode_conversation(talk("hi", "yo"), None)
        assert set(found) == {"input_ids", "labels"}
        assert IMAGE not in found["input_ids"].tolist()

    @pytest.mark.parametrize(("limit", "left"), [(26, 26), (13, 13), (12, 4), (5, 4), (4, 4)])
    def test_truncation_keeps_images_whole(self, processor: MGMProcessor, limit: int, left: int) -> None:
        """BOS and 3 tokens, an image of 9, then text."""
        found = processor("<start_of_turn>user\n<image>and so on, and on", picture(), max_length=limit)
        assert found["input_ids"].shape[1] == left

    def test_truncation_between_neighbouring_images(self, processor: MGMProcessor) -> None:
        for limit, left in ((19, 19), (18, 10), (10, 10), (9, 1)):
            found = processor("<image><image>", [picture()] * 2, max_length=limit)
            assert found["input_ids"].shape[1] == left

    def test_labels_are_cut_with_the_ids(self, processor: MGMProcessor) -> None:
        whole = processor.encode_conversation(talk("<image>\nhi", "a long answer"), picture())
        cut = processor.encode_conversation(talk("<image>\nhi", "a long answer"), picture(), max_length=25)
        assert torch.equal(cut["input_ids"], whole["input_ids"][:25])
        assert torch.equal(cut["labels"], whole["labels"][:25])

    def test_nothing_left_to_learn(self, processor: MGMProcessor) -> None:
        with pytest.raises(LabelMismatch, match=r"no answer within 15 tokens \(max_length 15\)"):
            processor.encode_conversation(talk("<image>\nhi", "yo"), picture(), max_length=15)


class TestBatches:
    @pytest.mark.parametrize("name", ["collate_grid1", "collate_hd"])
    def test_collated_samples(self, reference: Path, tokenizer: Any, name: str) -> None:
        """An image sample of three rounds and a text-only one; the original's collator does not expand images.

        It gives the text-only sample a blank image, and a mask to every batch; ours gives what the model needs.
        """
        case = golden.read(reference, "data_cases.json")[name]
        tensors = golden.read(reference, "data_tensors.safetensors")
        images = MGMImageProcessor(case["raw"], case["aux"], case["image_grid"], case["image_global"])
        processor = MGMProcessor(images, tokenizer, num_image_tokens=1)
        features = []
        for row in golden.read(reference, "data.json"):
            image = Image.open(reference / "data_images" / row["image"]) if "image" in row else None
            features.append(processor.encode_conversation(row["conversations"], image, image_aspect_ratio="pad"))
        found = processor.collate(features)
        assert set(found) == {"input_ids", "labels", "pixel_values", "pixel_values_aux"}
        assert set(case["keys"]) == {"input_ids", "labels", "attention_mask", "images", "images_aux"}
        for key in ("input_ids", "labels"):
            assert list(found[key].shape) == case["keys"][key]
            assert torch.equal(found[key], tensors[f"{name}.{key}"]), key
        assert torch.equal((found["input_ids"] != tokenizer.pad_token_id).long(), tensors[f"{name}.attention_mask"])
        for key, ours in (("images", "pixel_values"), ("images_aux", "pixel_values_aux")):
            assert list(found[ours].shape) == [1, *case["keys"][key][1:]]
            if f"{name}.{key}" in tensors:
                picture, blank = tensors[f"{name}.{key}"]
                assert torch.equal(found[ours][0], picture) and not blank.any()

    def test_padding_sides(self, processor: MGMProcessor) -> None:
        right = processor(["a<image>b", "<image>"], [picture()] * 2)
        left = processor(["a<image>b", "<image>"], [picture()] * 2, padding_side="left")
        assert right["attention_mask"].tolist() == [[1] * 12, [1] * 10 + [0] * 2]
        assert left["attention_mask"].tolist() == [[1] * 12, [0] * 2 + [1] * 10]
        assert left["input_ids"][1, :3].tolist() == [0, 0, BOS]
        assert left["pixel_values"].shape == (2, 3, 42, 42)

    def test_text_alone(self, processor: MGMProcessor) -> None:
        assert set(processor("hi")) == {"input_ids", "attention_mask"}

    def test_images_and_places_must_agree(self, processor: MGMProcessor) -> None:
        with pytest.raises(ValueError, match="2 in the text, 1 images"):
            processor(["<image>", "<image>"], picture())

    def test_what_cannot_be_asked_for(self, processor: MGMProcessor) -> None:
        with pytest.raises(ValueError, match=r"rows have \[2, 3\] tokens; pass padding=True"):
            processor(["a", "ab"], padding=False)
        with pytest.raises(ValueError, match="should be 'pt', found 'np'"):
            processor("a", return_tensors="np")


def test_saving_and_loading(tmp_path: Path, tokenizer: Any) -> None:
    images = MGMImageProcessor(42, 96, image_grid=2, image_global=True, image_mean=(0.1, 0.2, 0.3))
    processor = MGMProcessor(images, tokenizer, num_image_tokens=45, image_token_id=317)
    processor.save_pretrained(tmp_path)
    MGMConfig().save_pretrained(tmp_path)
    again = AutoProcessor.from_pretrained(tmp_path)
    assert isinstance(again, MGMProcessor)
    assert (again.num_image_tokens, again.image_token_id) == (45, 317)
    assert again.image_processor.to_dict() == images.to_dict()
    assert AutoImageProcessor.from_pretrained(tmp_path).to_dict() == images.to_dict()
    texts, image = [processor.prompt("what is it?")], picture()
    for name, value in processor(texts, image).items():
        assert torch.equal(again(texts, image)[name], value)
    assert again.batch_decode([[53, 72]], skip_special_tokens=True) == tokenizer.batch_decode([[53, 72]])


def test_twice_gives_the_same_bytes(tmp_path: Path, processor: MGMProcessor) -> None:
    for name in ("one", "two"):
        processor.save_pretrained(tmp_path / name)
    one, two = (sorted((tmp_path / name).iterdir()) for name in ("one", "two"))
    assert [file.read_bytes() for file in one] == [file.read_bytes() for file in two]
