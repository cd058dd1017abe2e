"""The token that an image stands as: one that Gemma never uses, and that no text can smuggle in."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import mgm_golden as golden
import pytest
import torch
from mgm_folders import picture
from transformers import AutoTokenizer

from recap.evaluation.generation.decoding import GreedyDecoder
from recap.models.mgm.build import build_mgm
from recap.models.mgm.image_processing_mgm import MGMImageProcessor
from recap.models.mgm.placeholder import image_placeholder
from recap.models.mgm.processing_mgm import MGMProcessor
from recap.runtime.errors import UserError

UNUSED0, UNUSED1 = 279, 280  # of the toy tokenizer
QUESTION = "what is on the left?\nAnswer the question using a single word or phrase."


@pytest.fixture(scope="module")
def tokenizer(assets: Path) -> Any:
    return AutoTokenizer.from_pretrained(assets / "toy_tokenizer")


@pytest.fixture(scope="module")
def processor(tokenizer: Any) -> MGMProcessor:
    images = MGMImageProcessor(image_size=42, image_size_aux=96)
    return MGMProcessor(images, tokenizer, num_image_tokens=9, image_token_id=UNUSED0)


@pytest.fixture(scope="module")
def tiny(root: Path) -> tuple[Any, MGMProcessor]:
    """The model that a tiny run starts from; its connectors are new."""
    folder = root / "models" / "tiny"
    torch.manual_seed(0)
    model, processor = build_mgm(
        folder / "language_model", folder / "vision_tower", folder / "vision_tower_aux", image_size_aux=192
    )
    return model.eval(), processor


class TestChoice:
    def test_the_smallest_of_the_unused(self, tokenizer: Any) -> None:
        assert tokenizer.convert_ids_to_tokens([UNUSED0, UNUSED1]) == ["<unused0>", "<unused1>"]
        assert image_placeholder(tokenizer, 320) == UNUSED0

    def test_only_what_the_model_embeds(self, tokenizer: Any) -> None:
        assert image_placeholder(tokenizer, UNUSED0 + 1) == UNUSED0
        with pytest.raises(UserError, match=r"expected a token <unused0>.* below id 279 .* found none"):
            image_placeholder(tokenizer, UNUSED0)

    def test_a_tokenizer_without_any(self, root: Path) -> None:
        captioner = AutoTokenizer.from_pretrained(root / "models" / "tiny" / "captioner")
        with pytest.raises(UserError, match=r"models/tiny/captioner: expected a token <unused0>"):
            image_placeholder(captioner, len(captioner))

    def test_the_tiny_model(self, tiny: tuple[Any, MGMProcessor]) -> None:
        model, processor = tiny
        unused = [f"<unused{number}>" for number in range(16)]
        ids = processor.tokenizer.convert_tokens_to_ids(unused)
        assert len(set(ids) - {processor.tokenizer.unk_token_id}) == 16
        assert model.config.image_token_id == processor.image_token_id == ids[0]


class TestWrittenOut:
    """The placeholder's token as somebody's text."""

    @pytest.mark.parametrize(
        "text",
        ["what is <unused0>?", "<unused0>", "<unused0><unused0> a", "<<unused0>unused0>", "a <unused0><unused1>"],
    )
    def test_is_text(self, processor: MGMProcessor, tokenizer: Any, text: str) -> None:
        assert UNUSED0 in tokenizer(text).input_ids
        ids = processor.tokenize(text)
        assert UNUSED0 not in ids
        assert tokenizer.decode(ids) == f"<bos>{text}"

    def test_next_to_an_image(self, processor: MGMProcessor) -> None:
        given = processor(processor.prompt("<unused0>, what is <unused0>?"), picture())
        assert (given["input_ids"] == UNUSED0).sum() == processor.num_image_tokens

    def test_is_learnt_as_text(self, processor: MGMProcessor, tokenizer: Any) -> None:
        talk = [
            {"from": "human", "value": "<image>\nwhat does <unused0> say?"},
            {"from": "gpt", "value": "it says <unused0>"},
        ]
        sample = processor.encode_conversation(talk, picture())
        assert (sample["input_ids"] == UNUSED0).sum() == processor.num_image_tokens
        learnt = sample["labels"][sample["labels"] != -100]
        assert UNUSED0 not in learnt.tolist()
        assert tokenizer.decode(learnt) == "it says <unused0><end_of_turn>\n<eos>"

    def test_other_unused_tokens_stay_tokens(self, processor: MGMProcessor) -> None:
        assert UNUSED1 in processor.tokenize("<unused1>")


class TestOriginal:
    """-200, which the original puts in `input_ids`."""

    def test_the_processor_reads_it(self, processor: MGMProcessor) -> None:
        ids, labels = processor.expand([2, -200, 7, UNUSED0])
        assert ids == [2, *[UNUSED0] * 9, 7, *[UNUSED0] * 9]
        assert labels == [2, *[-100] * 9, 7, *[-100] * 9]

    @pytest.mark.parametrize("name", ["c_batch2_loss", "f_mixed_text_image", "e_hd_grid2_global"])
    def test_the_model_reads_it(self, reference: Path, name: str) -> None:
        model = golden.for_case(reference, name, image_token_id=317)
        given = golden.expanded(reference, name)
        assert (given["input_ids"] == -200).any()
        with torch.no_grad():
            found = model(**given).logits
        valid = given["attention_mask"].bool()
        expected = golden.output(reference, name, "out.logits")[valid]
        torch.testing.assert_close(found[valid], expected, atol=2e-5, rtol=0)

    def test_without_the_whole_reference(self, slice_of_reference: Path) -> None:
        self.test_the_model_reads_it(slice_of_reference, "c_batch2_loss")


class TestGeneration:
    """The prompts of `answer`, through the decoder of `answer`, with everything that reads a prompt's ids."""

    @staticmethod
    def answers(tiny: tuple[Any, MGMProcessor], **settings: Any) -> tuple[list[int], list[list[int]]]:
        """The ids of a prompt, and what follows it for two pictures."""
        model, processor = tiny
        ids = processor.expand(processor.tokenize(processor.prompt(QUESTION)))[0]
        pixels = dict(processor.image_processor([picture(seed=0), picture(seed=1)]))
        tokenizer = processor.tokenizer
        decoder = GreedyDecoder(
            model, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, max_new_tokens=12
        )
        decoder.config.update(**settings)
        return ids, decoder.decode(torch.tensor([ids, ids]), pixels)

    def test_prompts_hold_ids_of_the_vocabulary(self, tiny: tuple[Any, MGMProcessor]) -> None:
        ids, _ = self.answers(tiny)
        assert ids.count(tiny[1].image_token_id) == 64
        assert set(ids) <= set(range(tiny[0].config.text_config.vocab_size))

    def test_repetition_penalty(self, tiny: tuple[Any, MGMProcessor]) -> None:
        """So heavy a penalty bans every token that came before."""
        ids, answers = self.answers(tiny, repetition_penalty=1e6, eos_token_id=None)
        for answer in answers:
            assert len(answer) == len(set(answer)) == 12
            assert not set(answer) & set(ids)

    def test_no_repeated_n_gram(self, tiny: tuple[Any, MGMProcessor]) -> None:
        ids, answers = self.answers(tiny, no_repeat_ngram_size=2, eos_token_id=None)
        for answer in answers:
            whole = [*ids, *answer]
            new = list(pairwise(whole[len(ids) - 1 :]))
            before = set(pairwise(ids))
            assert len(new) == len(set(new)) == 12
            assert not before & set(new)

    def test_a_prompt_decodes_to_what_was_asked(self, tiny: tuple[Any, MGMProcessor]) -> None:
        processor = tiny[1]
        ids, _ = self.answers(tiny)
        text = processor.tokenizer.decode(ids)
        assert text == "<bos>" + processor.prompt(QUESTION).replace("<image>", "<unused0>" * 64)
        assert processor.tokenizer.decode(ids, skip_special_tokens=True).endswith(f"{QUESTION}\nmodel\n")
