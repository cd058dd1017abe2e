"""What the tiny language model is taught by: conversations about scenes, and exercises without one.

Scenes and a random generator -> turns of text, in the prompts that a run uses. Questions and answers are those of
`recap.world.questions`; multiple choice is asked of every kind of answer, not only of MMBench's categories,
because picking the letter of the option that equals an answer is one skill, whatever the answer is about.
"""

import random

from recap.world.captions import raw_caption, true_caption
from recap.world.finetune import DESCRIBE_PROMPT, LETTER_PROMPT, lettered, lettered_turn, short_turn
from recap.world.lexicon import COLOURS, KINDS, SIGN_WORDS
from recap.world.questions import (
    CLASSES,
    FAMILIES,
    question_answer,
    text_choice,
    text_question,
)
from recap.world.scenes import Scene

Turn = tuple[str, str]  # What the user says and what the model answers.

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
    ("left", "right"),
    ("day", "night"),
    ("yes", "no"),
)
LONG_SORTS = tuple(sort for sort in SORTS if len(sort) > 4)


def captioned_turns(scene: Scene, rng: random.Random) -> list[Turn]:
    """A picture and its caption, as in a run's pretraining."""
    return [(rng.choice(("", "", f"\n{DESCRIBE_PROMPT}")), _caption(scene, rng))]


def pictured_turns(scene: Scene, rng: random.Random) -> list[Turn]:
    """A conversation about a picture, which comes before its first message."""
    turns = [_asked(scene, rng) for _ in range(rng.randint(4, 8))]
    if rng.random() < 0.5:
        # Last, so that no answer can be read off it.
        turns.append((rng.choice(DESCRIBE), _caption(scene, rng)))
    (message, answer), *rest = turns
    # The picture stands on a line of its own.
    return [(f"\n{message}", answer), *rest]


def _caption(scene: Scene, rng: random.Random) -> str:
    """Descriptions and web alt-texts in equal shares: neither recipe's captions are foreign to the model."""
    return true_caption(scene, rng) if rng.random() < 0.5 else raw_caption(scene, rng, scene)


def exercise(rng: random.Random) -> Turn:
    """A question that needs no picture: finding an option, for the most part, and what things are."""
    draw = rng.random()
    if draw < 0.45:
        return matching_turn(rng)
    if draw < 0.75:
        return _naming_turn(rng)
    if draw < 0.9:
        question, options, index = text_choice(rng)
        return lettered(question, options), "ABCD"[index]
    return short_turn(text_question(rng))


def _asked(scene: Scene, rng: random.Random) -> Turn:
    draw = rng.random()
    if draw < 0.25:
        return lettered_turn(scene, rng)
    question, answer = question_answer(scene, rng.choice(FAMILIES), rng)
    if draw < 0.4:
        return _as_choice(question, answer, rng)
    # Most questions come without their request for a short answer: it is always the same, and costs half the time.
    return short_turn((question, answer)) if draw < 0.6 else (question, answer)


def matching_turn(rng: random.Random) -> Turn:
    """Which of two to four options says a word."""
    answer = rng.choice(rng.choice(LONG_SORTS))
    return _as_choice(f"which option says {answer}?", answer, rng)


def _naming_turn(rng: random.Random) -> Turn:
    """What the option with a letter says: the same link the other way round, which is learnt much sooner."""
    options = _options(rng.choice(rng.choice(LONG_SORTS)), rng)
    index = rng.randrange(len(options))
    return lettered(f"what does option {'ABCD'[index]} say?", options).removesuffix(f"\n{LETTER_PROMPT}"), options[index]


def _as_choice(question: str, answer: str, rng: random.Random) -> Turn:
    """The question with two to four options of the answer's sort; as with short answers, often without the request."""
    options = _options(answer, rng)
    asked = lettered(question, options)
    return asked if rng.random() < 0.3 else asked.removesuffix(f"\n{LETTER_PROMPT}"), "ABCD"[options.index(answer)]


def _options(answer: str, rng: random.Random) -> list[str]:
    """One to three other answers of the same sort beside this one, in any order."""
    sort = next(sort for sort in SORTS if answer in sort)
    others = [item for item in sort if item != answer]
    options = [answer, *rng.sample(others, min(len(others), rng.choice((1, 2, 3, 3))))]
    rng.shuffle(options)
    return options
