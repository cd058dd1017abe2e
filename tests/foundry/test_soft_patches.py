"""Facts in place of visual tokens, and batches that waste no time on padding."""

import random
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, GemmaConfig, GemmaForCausalLM

from recap.foundry.conversations import pictured_turns, text_turn
from recap.foundry.soft_patches import (
    IMAGE_SLOT,
    Encoder,
    Sample,
    SoftPatches,
    batches_of_like_length,
    collate,
)
from recap.world.lexicon import COLOURS, KINDS, SIGN_WORDS
from recap.world.scenes import scenes

GRID = 8


@pytest.fixture(scope="module")
def encoder(root: Path) -> Encoder:
    return Encoder(AutoTokenizer.from_pretrained(root / "models" / "tiny" / "language_model"), GRID)


@pytest.fixture(scope="module")
def samples(encoder: Encoder) -> list[Sample]:
    rng = random.Random(0)
    pictured = [encoder.sample(scene, pictured_turns(scene, rng)) for scene in scenes("foundry", 40, 6)]
    return pictured + [encoder.sample(None, [text_turn(rng)]) for _ in range(40)]


@pytest.fixture(scope="module")
def patches(encoder: Encoder) -> SoftPatches:
    torch.manual_seed(0)
    config = GemmaConfig(
        vocab_size=len(encoder.tokenizer), hidden_size=32, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, head_dim=16,
    )  # fmt: skip
    return SoftPatches(GemmaForCausalLM(config).eval(), encoder.tokenizer.pad_token_id)


def test_a_conversation_is_in_the_chat_template(encoder: Encoder) -> None:
    scene = next(scenes("foundry", 1, 6))
    sample = encoder.sample(scene, [("\nwhat is it?", "a bus"), ("and?", "red")])
    text = encoder.tokenizer.decode([token for token in sample.tokens if token != IMAGE_SLOT])
    assert text == (
        "<bos><start_of_turn>user\n\nwhat is it?<end_of_turn>\n<start_of_turn>model\na bus<end_of_turn>\n<eos>"
        "<start_of_turn>user\nand?<end_of_turn>\n<start_of_turn>model\nred<end_of_turn>\n<eos>"
    )
    assert (sample.tokens == IMAGE_SLOT).sum() == GRID**2
    learnt = encoder.tokenizer.decode(sample.targets[sample.targets != -100])
    assert learnt == "a bus<end_of_turn>\n<eos>red<end_of_turn>\n<eos>"
    assert not (encoder.sample(None, [("what?", "this")]).tokens == IMAGE_SLOT).any()


def test_facts_are_what_stands_there(encoder: Encoder) -> None:
    scene = next(scene for scene in scenes("foundry", 50, 6) if scene.count == 2)
    facts = encoder.sample(scene, [("", "")]).facts
    assert facts.shape == (GRID**2, 4)
    told = {frozenset(encoder.tokenizer.decode([fact]).strip() for fact in row) - {"<pad>"} for row in facts}
    assert told == {
        frozenset({scene.word, scene.sign_colour, "sign"}),
        frozenset({KINDS[scene.kind][0], scene.colour, "2", scene.side}),
        frozenset({scene.other_kind, scene.other_colour, scene.other_side}),
        frozenset({scene.time}),
    }


def test_every_word_of_the_lexicon_is_one_token(encoder: Encoder) -> None:
    words = [*SIGN_WORDS, *SIGN_WORDS.values(), *COLOURS, *KINDS, *(plural for plural, _ in KINDS.values())]
    for word in words:
        assert encoder.tokenizer.decode([encoder.word_id(word)]) == f" {word}"


def test_batches_keep_the_budget_and_leave_nothing_out(samples: list[Sample]) -> None:
    batches = batches_of_like_length(samples, 1000, seed=1)
    epoch: list[Sample] = []
    padding = 0
    while len(epoch) < len(samples):
        batch = next(batches)
        longest = max(len(sample.tokens) for sample in batch)
        assert longest * len(batch) <= 1000 or len(batch) == 1
        padding += sum(longest - len(sample.tokens) for sample in batch)
        epoch += batch
    assert {id(sample) for sample in epoch} == {id(sample) for sample in samples}
    assert padding < 0.1 * sum(len(sample.tokens) for sample in samples)
    first = next(batches_of_like_length(samples, 1000, seed=1))
    assert [id(sample) for sample in first] == [id(sample) for sample in epoch[: len(first)]]


def test_logits_are_those_of_the_learnt_tokens(patches: SoftPatches, samples: list[Sample], encoder: Encoder) -> None:
    batch = collate(samples[38:42], encoder.tokenizer.pad_token_id)
    with torch.inference_mode():
        together = patches(batch, 0.0)
        alone = torch.cat([patches(collate([row], encoder.tokenizer.pad_token_id), 0.0) for row in samples[38:42]])
    assert together.shape == ((batch.targets != -100).sum(), len(encoder.tokenizer))
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_noise_takes_facts_away_and_no_text(patches: SoftPatches, samples: list[Sample], encoder: Encoder) -> None:
    batch = collate(samples[38:42], encoder.tokenizer.pad_token_id)
    torch.manual_seed(0)
    with torch.inference_mode():
        clean, noisy = patches.embeddings(batch, 0.0), patches.embeddings(batch, 0.4)
    slots = batch.tokens == IMAGE_SLOT
    assert torch.equal(clean[~slots], noisy[~slots])
    assert not torch.isclose(clean[slots], noisy[slots]).all(-1).any()
