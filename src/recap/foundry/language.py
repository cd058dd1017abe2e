"""Train the tiny Gemma and its tokenizer: a language model that can answer about what its context shows.

Foundry scenes -> `language_model/` (GemmaForCausalLM + tokenizer). No picture is involved: in place of visual
tokens the model meets the words for what stands there (`recap.foundry.soft_patches`). It learns the chat template,
the questions, the lexicon and to choose among lettered options, as a full-size Gemma has; a run's projector still
has to learn to turn the towers' features into something it understands.
"""

import argparse
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F
from transformers import GemmaConfig, GemmaForCausalLM, PreTrainedTokenizerFast

from recap.foundry.conversations import matching_turn
from recap.foundry.embeddings import alike, draw_anew
from recap.foundry.lessons import asking, basics, finding, in_order, questions, review
from recap.foundry.optimise import train
from recap.foundry.params import LanguageParams, load_foundry_params
from recap.foundry.soft_patches import (
    Conversation,
    Encoder,
    Sample,
    SoftPatches,
    batches_of_like_length,
    collate,
)
from recap.foundry.tokenizers import train_tokenizer
from recap.io import write_metrics
from recap.models.mgm.conversation import IGNORE_INDEX
from recap.runtime.seeding import derive_seed, seed_everything
from recap.runtime.stage import run
from recap.world.finetune import lettered, short_turn
from recap.world.lexicon import COLOURS, KINDS, SIDES, SIGN_WORDS
from recap.world.questions import CHOICE_CATEGORIES, FAMILIES, categorised_choice, question_answer
from recap.world.scenes import Scene, scenes

TURN_TOKENS = ("<start_of_turn>", "<end_of_turn>")
# Tokens that no text uses, as Gemma has; an image stands as the first of them.
UNUSED_TOKENS = tuple(f"<unused{number}>" for number in range(16))
SPECIAL_TOKENS = ("<pad>", "<eos>", "<bos>", "<unk>", *TURN_TOKENS, *UNUSED_TOKENS)

SPACE = "\u0120"  # How byte-level BPE writes a space.

NOISE = 0.4  # The largest share of a picture's facts that is left out, and the size of what is added.


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--language-model", type=Path, required=True)
    parser.add_argument("--metrics", type=Path, required=True)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    args = parser.parse_args()
    foundry = load_foundry_params(args.params)
    params = foundry.language

    course = [lesson(params, foundry.seed) for lesson in (finding, asking, basics, questions)]
    tokenizer = _tokenizer([conversation for lesson in course for conversation in lesson], params.vocabulary_size)
    encoder = Encoder(tokenizer, params.patch_grid)
    heldout = list(scenes("foundry_heldout", params.heldout_scenes, foundry.seed))

    seed_everything(foundry.seed)
    patches = SoftPatches(_new_model(params, tokenizer), tokenizer.pad_token_id)

    def loss_of(rows: list[Sample]) -> dict[str, torch.Tensor]:
        batch = collate(rows, tokenizer.pad_token_id)
        learnt = batch.targets[:, 1:] != IGNORE_INDEX
        return {"answers": F.cross_entropy(patches(batch, NOISE), batch.targets[:, 1:][learnt])}

    def teach(name: str, batches: Iterator[list[Sample]], steps: int, learning_rate: float) -> dict[str, Any]:
        final = train(
            patches,
            loss_of,
            batches,
            steps=steps,
            learning_rate=learning_rate,
            name=f"language model, {name}",
            warmup=params.warmup_steps,
        )
        found = {
            "short_answers": _short_answers(patches, encoder, heldout, foundry.seed),
            "letters": _letters(patches, encoder, heldout, foundry.seed),
        }
        return {"final_loss": final, "heldout_accuracy": found}

    batches = in_order([encoder.samples(lesson) for lesson in course], params, foundry.seed)
    four = teach("four lessons", batches, params.steps.course, params.learning_rate)
    # A generator of its own: what the review draws does not depend on what came before.
    seed_everything(derive_seed(foundry.seed, "review"))
    draw_anew(patches.model.model.embed_tokens.weight, tokenizer, SIDES)
    batches = batches_of_like_length(encoder.samples(review(params, foundry.seed)), params.batch_tokens, foundry.seed)
    reviewed = teach("review", batches, params.steps.review, params.review_learning_rate)

    patches.model.save_pretrained(args.language_model)
    tokenizer.save_pretrained(args.language_model)
    write_metrics(args.metrics, "language", {"four_lessons": four, "review": reviewed})


def _tokenizer(conversations: Sequence[Conversation], size: int) -> PreTrainedTokenizerFast:
    plurals = [plural for plural, _ in KINDS.values()]
    lexicon = [*SIGN_WORDS, *SIGN_WORDS.values(), *KINDS, *plurals, *COLOURS]
    # Every word of the lexicon, however rare: with a space before it, as in a sentence, it is one token.
    sentences = [text for word in lexicon for text in (word, f"a {word}")] * 200
    sentences += [text for _, turns in conversations for turn in turns for text in turn]
    return train_tokenizer(
        sentences, size, SPECIAL_TOKENS, bos="<bos>", eos_token="<eos>", pad_token="<pad>", unk_token="<unk>",
        additional_special_tokens=list(TURN_TOKENS), padding_side="right",
    )  # fmt: skip


def _config(params: LanguageParams, tokenizer: PreTrainedTokenizerFast) -> GemmaConfig:
    return GemmaConfig(
        vocab_size=len(tokenizer), hidden_size=params.hidden_size, intermediate_size=params.intermediate_size,
        num_hidden_layers=params.layers, num_attention_heads=params.heads, num_key_value_heads=params.heads,
        head_dim=params.head_dim, max_position_embeddings=1024, pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        initializer_range=params.hidden_size**-0.5,
    )  # fmt: skip


def _new_model(params: LanguageParams, tokenizer: PreTrainedTokenizerFast) -> GemmaForCausalLM:
    """A Gemma before training, to which a word with a space before it looks much like the word without one.

    An answer begins a line, an option stands behind a letter and a fact inside a sentence. Were these forms strangers,
    each word would have to be matched with itself one by one; large models know them as one from plenty of text.
    """
    model = GemmaForCausalLM(_config(params, tokenizer))
    vocabulary = tokenizer.get_vocab()
    embedding = model.model.embed_tokens.weight
    with torch.no_grad():
        for text, spaced in vocabulary.items():
            if text.startswith(SPACE) and (plain := vocabulary.get(text.removeprefix(SPACE))) is not None:
                embedding[spaced] = alike(embedding[plain], embedding[spaced])
    return model


def _short_answers(patches: SoftPatches, encoder: Encoder, drawn: Sequence[Scene], seed: int) -> dict[str, float]:
    """Percent of held-out scenes whose question is answered rightly, token for token, by family."""
    found = {}
    for family in FAMILIES:
        rng = random.Random(derive_seed(seed, "heldout", family))
        asked = [short_turn(question_answer(scene, family, rng)) for scene in drawn]
        conversations = [_about(scene, *turn) for scene, turn in zip(drawn, asked, strict=True)]
        found[family] = _percent(_right(patches, encoder, conversations))
    return found


def _letters(
    patches: SoftPatches, encoder: Encoder, drawn: Sequence[Scene], seed: int
) -> dict[str, dict[str, float] | float]:
    """Percent of multiple-choice questions answered by the right letter: `vanilla` as put, `circular` under every
    rotation of the options, both by MMBench's category; and `matching`, of exercises that name the option."""
    vanilla, circular = {}, {}
    for category in CHOICE_CATEGORIES:
        rng = random.Random(derive_seed(seed, "heldout", category))
        conversations, sizes = [], []
        for scene in drawn:
            choice = categorised_choice(scene, category, rng)
            sizes.append(len(choice.options))
            for shift in range(len(choice.options)):
                options = choice.options[shift:] + choice.options[:shift]
                letter = "ABCD"[options.index(choice.options[choice.index])]
                conversations.append(_about(scene, lettered(choice.question, options), letter))
        right = iter(_right(patches, encoder, conversations))
        rotations = [[next(right) for _ in range(size)] for size in sizes]
        vanilla[category] = _percent([rotation[0] for rotation in rotations])
        circular[category] = _percent([all(rotation) for rotation in rotations])
    rng = random.Random(derive_seed(seed, "heldout", "matching"))
    exercises: list[Conversation] = [(None, [matching_turn(rng, bare=False)]) for _ in drawn]
    return {"vanilla": vanilla, "circular": circular, "matching": _percent(_right(patches, encoder, exercises))}


def _about(scene: Scene, message: str, answer: str) -> Conversation:
    return scene, [(f"\n{message}", answer)]


def _percent(right: Sequence[bool]) -> float:
    return 100 * sum(right) / len(right)


def _right(patches: SoftPatches, encoder: Encoder, conversations: Sequence[Conversation]) -> list[bool]:
    """Whether each conversation's every answered token is the likeliest one."""
    right: list[bool] = []
    for start in range(0, len(conversations), 50):
        samples = [encoder.sample(scene, turns) for scene, turns in conversations[start : start + 50]]
        batch = collate(samples, encoder.tokenizer.pad_token_id)
        targets = batch.targets[:, 1:]
        matches = torch.ones_like(targets, dtype=torch.bool)
        with torch.inference_mode():
            matches[targets != IGNORE_INDEX] = patches(batch, 0.0).argmax(-1) == targets[targets != IGNORE_INDEX]
        right += matches.all(1).tolist()
    return right


if __name__ == "__main__":
    run(main)
