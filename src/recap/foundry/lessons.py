"""The five lessons of the tiny language model: what it is taught, and in which order.

Scenes and exercises -> conversations -> batches. foundry/README.md says why this order.
"""

import random
from collections.abc import Iterator, Sequence
from itertools import chain, islice

from recap.foundry.conversations import (
    ask_hard,
    captioned_turns,
    hard_text_turn,
    matching_turn,
    pictured_turns,
    text_turn,
)
from recap.foundry.params import LanguageParams
from recap.foundry.soft_patches import Conversation, Sample, batches_of_like_length
from recap.runtime.seeding import derive_seed
from recap.world.scenes import scenes


def finding(params: LanguageParams, seed: int) -> list[Conversation]:
    """First lesson: a word and four options, and nothing else.

    The letter of the word is learnt all at once, after some 15,000 examples, if nothing else moves the weights. Among
    other things, or with fewer options, where a guess is nearly as good, it is not learnt in the time that there is.
    """
    rng = random.Random(derive_seed(seed, "finding"))
    return [(None, [matching_turn(rng, bare=True)]) for _ in range(params.finding)]


def asking(params: LanguageParams, seed: int) -> list[Conversation]:
    """Second lesson: the word inside a question."""
    rng = random.Random(derive_seed(seed, "asking"))
    return [(None, [matching_turn(rng, bare=rng.random() < 0.3)]) for _ in range(params.finding)]


def basics(params: LanguageParams, seed: int) -> list[Conversation]:
    """Third lesson: looking at a picture, learnt soonest from captions, whose every word asks for it; and texts."""
    rng = random.Random(derive_seed(seed, "basics"))
    drawn = scenes("foundry", params.captions, seed)
    pictured: list[Conversation] = [(scene, captioned_turns(scene, rng)) for scene in drawn]
    return pictured + [(None, [text_turn(rng)]) for _ in range(params.texts)]


def questions(params: LanguageParams, seed: int) -> list[Conversation]:
    """Fourth lesson: questions and answers about pictures, with letters and without; what came before goes on."""
    rng = random.Random(derive_seed(seed, "questions"))
    drawn = islice(scenes("foundry", params.captions + params.conversations, seed), params.captions, None)
    return [(scene, pictured_turns(scene, rng)) for scene in drawn]


def review(params: LanguageParams, seed: int) -> list[Conversation]:
    """Last lesson: everything once more, and oftenest what the others leave half learnt."""
    rng = random.Random(derive_seed(seed, "review"))
    drawn = scenes("foundry", params.reviewed, seed)
    pictured: list[Conversation] = [(scene, pictured_turns(scene, rng, ask=ask_hard)) for scene in drawn]
    return pictured + [(None, [hard_text_turn(rng)]) for _ in range(params.reviewed // 2)]


def in_order(lessons: Sequence[Sequence[Sample]], params: LanguageParams, seed: int) -> Iterator[list[Sample]]:
    """Batches of the first four, one lesson after the other.

    The fourth goes together with the third, so that nothing is forgotten.
    """
    first, second, third, fourth = lessons
    return chain(
        islice(batches_of_like_length(first, params.batch_tokens, seed), params.steps.finding),
        islice(batches_of_like_length(second, params.batch_tokens, seed), params.steps.asking),
        islice(batches_of_like_length(third, params.batch_tokens, seed), params.steps.basics),
        islice(batches_of_like_length([*third, *fourth], params.batch_tokens, seed), params.steps.questions),
    )
