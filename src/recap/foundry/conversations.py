"""What the tiny language model is taught by: conversations about scenes, and exercises without one.

Scenes and a random generator -> turns of text, in the prompts that a run uses. Questions and answers are those of
`recap.world.questions`; multiple choice is asked of every kind of answer, not only of MMBench's categories,
because picking the letter of the option that equals an answer is one skill, whatever the answer is about.
"""

import random
from collections.abc import Callable

from recap.world.captions import article, raw_caption, true_caption
from recap.world.finetune import DESCRIBE_PROMPT, LETTER_PROMPT, lettered, lettered_turn, short_turn
from recap.world.lexicon import COLOURS, KINDS, SIDES, SIGN_WORDS
from recap.world.questions import (
    CLASSES,
    FAMILIES,
    question_answer,
    text_choice,
    text_question,
)
from recap.world.scenes import Scene

Turn = tuple[str, str]  # What the user says and what the model answers.
Asker = Callable[[Scene, random.Random], Turn]

# What is learnt last: sides, and letters for what has to be read or concluded first.
HARD_FAMILIES = ("kind_on_side", "class_on_side", "side", "choose_kind")
HARD_CATEGORIES = ("ocr", "object_localization", "function_reasoning", "physical_relation")

DESCRIBE = (DESCRIBE_PROMPT, "What is in the picture?")
# Answers of one sort: the wrong options of a question come from where its answer does.
SORTS = (
    tuple(SIGN_WORDS),
    tuple(SIGN_WORDS.values()),
    tuple(COLOURS),
    tuple(KINDS),
    tuple(plural for plural, _ in KINDS.values()),
    CLASSES,
    ("1", "2", "3", "4", "5"),
    SIDES,
    ("day", "night"),
    ("yes", "no"),
)
LONG_SORTS = tuple(sort for sort in SORTS if len(sort) > 4)


def matching_turn(rng: random.Random, *, bare: bool) -> Turn:
    """Which of four options says a word; `bare` leaves everything away but the word and the options."""
    options = rng.sample(rng.choice(LONG_SORTS), 4)
    index = rng.randrange(4)
    if bare:
        return lettered(options[index], options).removesuffix(f"\n{LETTER_PROMPT}"), "ABCD"[index]
    return _without_request(lettered(f"which option says {options[index]}?", options), rng), "ABCD"[index]


def text_turn(rng: random.Random) -> Turn:
    """A question that needs no picture: finding a word among options or in a list, and what things are."""
    draw = rng.random()
    if draw < 0.5:
        return matching_turn(rng, bare=draw < 0.15)
    if draw < 0.75:
        return _presence_turn(rng)
    if draw < 0.9:
        question, options, index = text_choice(rng)
        return lettered(question, options), "ABCD"[index]
    return short_turn(text_question(rng))


def hard_text_turn(rng: random.Random) -> Turn:
    """A question that needs no picture; two in ten are about sides."""
    return _side_turn(rng) if rng.random() < 0.2 else text_turn(rng)


def captioned_turns(scene: Scene, rng: random.Random) -> list[Turn]:
    """A picture with a description and a web alt-text, in any order: neither recipe's captions are foreign."""
    captions = [true_caption(scene, rng), raw_caption(scene, rng, scene)]
    rng.shuffle(captions)
    return [("", captions[0]), (rng.choice(DESCRIBE), captions[1])]


def ask(scene: Scene, rng: random.Random) -> Turn:
    """A question about a scene, of any kind; four in ten with options."""
    draw = rng.random()
    if draw < 0.25:
        return lettered_turn(scene, rng)
    question, answer = question_answer(scene, rng.choice(FAMILIES), rng)
    if draw < 0.4:
        return _as_choice(question, answer, rng)
    return short_turn((question, answer)) if draw < 0.6 else (question, answer)


def ask_hard(scene: Scene, rng: random.Random) -> Turn:
    """A question about a scene; at least four in ten are of the kinds that are learnt last."""
    draw = rng.random()
    if draw < 0.25:
        question, answer = question_answer(scene, rng.choice(HARD_FAMILIES), rng)
        return short_turn((question, answer)) if rng.random() < 0.3 else (question, answer)
    if draw < 0.4:
        return lettered_turn(scene, rng, rng.choice(HARD_CATEGORIES))
    return ask(scene, rng)


def pictured_turns(scene: Scene, rng: random.Random, ask: Asker = ask) -> list[Turn]:
    """A conversation about a picture, which comes before its first message."""
    turns = [ask(scene, rng) for _ in range(rng.randint(4, 8))]
    if rng.random() < 0.5:
        # Last, so that no answer can be read off it.
        caption = true_caption(scene, rng) if rng.random() < 0.5 else raw_caption(scene, rng, scene)
        turns.append((rng.choice(DESCRIBE), caption))
    (message, answer), *rest = turns
    # The picture stands on a line of its own.
    return [(f"\n{message}", answer), *rest]


def _presence_turn(rng: random.Random) -> Turn:
    """Whether a kind of thing is among those that are listed, in the singular or the plural."""
    listed = rng.sample(list(KINDS), rng.randint(2, 3))
    present = rng.random() < 0.5
    asked = rng.choice([kind for kind in KINDS if (kind in listed) == present])
    names = [rng.choice((kind, KINDS[kind][0])) for kind in listed]
    return f"{' and '.join(names)}\nis there {article(asked)} {asked}?", "yes" if present else "no"


def _side_turn(rng: random.Random) -> Turn:
    """Which of two kinds of thing is on a side, or on which side one is, when a sentence tells."""
    placed = list(zip(rng.sample(list(KINDS), 2), rng.sample(SIDES, 2), strict=True))
    told = " and ".join(f"{rng.choice((kind, KINDS[kind][0]))} {side}" for kind, side in placed)
    kind, side = rng.choice(placed)
    if rng.random() < 0.5:
        return f"{told}\nwhich side is the {kind} on?", side
    return f"{told}\nwhat is on the {side}?", kind


def _as_choice(question: str, answer: str, rng: random.Random) -> Turn:
    """The question with two to four options of the answer's sort."""
    sort = next(sort for sort in SORTS if answer in sort)
    others = [item for item in sort if item != answer]
    options = [answer, *rng.sample(others, min(len(others), rng.choice((1, 2, 3, 3))))]
    rng.shuffle(options)
    return _without_request(lettered(question, options), rng), "ABCD"[options.index(answer)]


def _without_request(message: str, rng: random.Random) -> str:
    """Most questions come without their request for a letter: it is always the same, and costs half the time."""
    return message if rng.random() < 0.3 else message.removesuffix(f"\n{LETTER_PROMPT}")
