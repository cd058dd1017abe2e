"""Questions about scenes of the street world, with answers that follow from the scene's fields.

The same families serve the finetune conversations, the benchmarks (both from scenes of their own) and the foundry.
Answers are one lower-case word, or one digit.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from recap.world.captions import article
from recap.world.lexicon import COLOURS, KINDS, SIDES, SIGN_COLOURS, SIGN_WORDS
from recap.world.scenes import Scene

QuestionAnswer = tuple[str, str]

HINTED_PERCENT = 15  # of multiple-choice questions have a hint

CLASSES = tuple(sorted({kind_class for _, kind_class in KINDS.values()}))


def question_answer(scene: Scene, family: str, rng: random.Random) -> QuestionAnswer:
    """A question of a family about a scene, and its answer.

    Args:
        scene: What the picture shows.
        family: One of `FAMILIES`.
        rng: Chooses the phrasing, and what a yes/no question asks after (half of them are answered "yes").
    """
    return _ASKERS[family](scene, rng)


def text_question(rng: random.Random) -> QuestionAnswer:
    """A question that needs no picture: about what a place offers, or what class a thing belongs to."""
    if rng.random() < 0.5:
        word = rng.choice(list(SIGN_WORDS))
        return f"what can you expect at {article(word)} {word}?", SIGN_WORDS[word]
    kind = rng.choice(list(KINDS))
    return f"what class of thing is {article(kind)} {kind}?", KINDS[kind][1]


def text_choice(rng: random.Random) -> tuple[str, list[str], int]:
    """A multiple-choice question that needs no picture: the question, four options, the index of the right one."""
    question, answer = text_question(rng)
    pool = list(CLASSES if answer in CLASSES else SIGN_WORDS.values())
    options = _with_distractors(answer, pool, rng)
    rng.shuffle(options)
    return question, options, options.index(answer)


def _read_word(scene: Scene, rng: random.Random) -> QuestionAnswer:
    question = rng.choice((
        "what does the sign say?",
        "what word is on the sign?",
        f"what word is written on the {scene.sign_colour} sign?",
        "what is the name of the place?",
        f"what does the {scene.sign_colour} sign say?",
    ))  # fmt: skip
    return question, scene.word


def _knowledge(scene: Scene, rng: random.Random) -> QuestionAnswer:
    question = rng.choice((
        "what can you expect at the place that the sign names?",
        "what would people come here for?",
        "what is this place known for?",
    ))  # fmt: skip
    return question, SIGN_WORDS[scene.word]


def _main_colour(scene: Scene, rng: random.Random) -> QuestionAnswer:
    return f"what color {_be(scene)} the {_main(scene)}?", scene.colour


def _other_colour(scene: Scene, rng: random.Random) -> QuestionAnswer:
    return f"what color is the {scene.other_kind}?", scene.other_colour


def _sign_colour(scene: Scene, rng: random.Random) -> QuestionAnswer:
    return "what color is the sign?", scene.sign_colour


def _kind_on_side(scene: Scene, rng: random.Random) -> QuestionAnswer:
    side = rng.choice(SIDES)
    question = rng.choice((f"what is on the {side}?", f"what is on the {side} side of the street?"))
    return question, _kind_at(scene, side)


def _class_on_side(scene: Scene, rng: random.Random) -> QuestionAnswer:
    side = rng.choice(SIDES)
    return f"what class of thing is on the {side}?", KINDS[_kind_at(scene, side)][1]


def _side(scene: Scene, rng: random.Random) -> QuestionAnswer:
    if rng.random() < 0.5:
        return f"which side {_be(scene)} the {_main(scene)} on?", scene.side
    return f"which side is the {scene.other_kind} on?", scene.other_side


def _count(scene: Scene, rng: random.Random) -> QuestionAnswer:
    plural = KINDS[scene.kind][0]
    return rng.choice(
        (f"how many {plural} are there?", f"how many {scene.colour} {plural} are there?")
    ), f"{scene.count}"


def _time(scene: Scene, rng: random.Random) -> QuestionAnswer:
    return "is it day or night?", scene.time


def _has_kind(scene: Scene, rng: random.Random) -> QuestionAnswer:
    present = rng.random() < 0.5
    kinds = [kind for kind in KINDS if (kind in (scene.kind, scene.other_kind)) == present]
    return f"is there a {rng.choice(kinds)} in the picture?", "yes" if present else "no"


def _is_colour(scene: Scene, rng: random.Random) -> QuestionAnswer:
    right = rng.random() < 0.5
    colour = scene.colour if right else _another(list(COLOURS), scene.colour, rng)
    return f"{_be(scene)} the {_main(scene)} {colour}?", "yes" if right else "no"


def _choose_colour(scene: Scene, rng: random.Random) -> QuestionAnswer:
    colours = [scene.other_colour, _another(list(COLOURS), scene.other_colour, rng)]
    rng.shuffle(colours)
    return f"is the {scene.other_kind} {colours[0]} or {colours[1]}?", scene.other_colour


def _choose_kind(scene: Scene, rng: random.Random) -> QuestionAnswer:
    side = rng.choice(SIDES)
    kind = _kind_at(scene, side)
    kinds = [kind, _another(list(KINDS), kind, rng)]
    rng.shuffle(kinds)
    return f"is the thing on the {side} a {kinds[0]} or a {kinds[1]}?", kind


_ASKERS: dict[str, Callable[[Scene, random.Random], QuestionAnswer]] = {
    "read_word": _read_word,
    "knowledge": _knowledge,
    "main_colour": _main_colour,
    "other_colour": _other_colour,
    "sign_colour": _sign_colour,
    "kind_on_side": _kind_on_side,
    "class_on_side": _class_on_side,
    "side": _side,
    "count": _count,
    "time": _time,
    "has_kind": _has_kind,
    "is_colour": _is_colour,
    "choose_colour": _choose_colour,
    "choose_kind": _choose_kind,
}

FAMILIES = tuple(_ASKERS)


@dataclass(frozen=True)
class Choice:
    """A multiple-choice question: 2 to 4 options, `options[index]` is right; the categories are MMBench's."""

    question: str
    options: list[str]
    index: int
    category: str
    l2_category: str


def categorised_choice(scene: Scene, category: str, rng: random.Random) -> Choice:
    """A multiple-choice question of one of `CHOICE_CATEGORIES`."""
    l2_category, asker = _CHOOSERS[category]
    question, options, answer = asker(scene, rng)
    rng.shuffle(options)
    return Choice(question, options, options.index(answer), category, l2_category)


def hint(scene: Scene, category: str, rng: random.Random) -> str:
    """A true sentence before a multiple-choice question that does not give it away; empty for most questions."""
    if rng.random() * 100 >= HINTED_PERCENT or category == "image_scene":
        return ""
    return f"the picture was taken {'at night' if scene.night else 'by day'}"


def _with_distractors(answer: str, pool: list[str], rng: random.Random) -> list[str]:
    return [answer, *rng.sample([item for item in pool if item != answer], 3)]


Chosen = tuple[str, list[str], str]  # question, options, answer


def _choose_time(scene: Scene, rng: random.Random) -> Chosen:
    return "what time of day is it?", ["day", "night"], scene.time


def _choose_word(scene: Scene, rng: random.Random) -> Chosen:
    return "what does the sign say?", _with_distractors(scene.word, list(SIGN_WORDS), rng), scene.word


def _choose_attribute(scene: Scene, rng: random.Random) -> Chosen:
    if rng.random() < 0.5:
        return (
            "what color is the sign?",
            _with_distractors(scene.sign_colour, list(SIGN_COLOURS), rng),
            scene.sign_colour,
        )
    question, answer = _main_colour(scene, rng)
    return question, _with_distractors(answer, list(COLOURS), rng), answer


def _choose_place(scene: Scene, rng: random.Random) -> Chosen:
    question, answer = _side(scene, rng)
    return question, list(SIDES), answer


def _choose_neighbour(scene: Scene, rng: random.Random) -> Chosen:
    question = f"what is to the {scene.other_side} of the {_main(scene)}?"
    return question, _with_distractors(scene.other_kind, [k for k in KINDS if k != scene.kind], rng), scene.other_kind


def _choose_function(scene: Scene, rng: random.Random) -> Chosen:
    answer = SIGN_WORDS[scene.word]
    question = "what can you expect at the place that the sign names?"
    return question, _with_distractors(answer, list(SIGN_WORDS.values()), rng), answer


def _choose_more(scene: Scene, rng: random.Random) -> Chosen:
    more, fewer, same = KINDS[scene.kind][0], KINDS[scene.other_kind][0], "equally many"
    return "what are there more of?", [more, fewer, same], more if scene.count > 1 else same


def _choose_total(scene: Scene, rng: random.Random) -> Chosen:
    total = scene.count + 1
    # Naming the things would give the answer away: "the bus" is one.
    return "how many things are there in all?", [str(number) for number in range(2, 6)], str(total)


# MMBench's leaf category -> its second-level category, and who asks.
_CHOOSERS: dict[str, tuple[str, Callable[[Scene, random.Random], Chosen]]] = {
    "image_scene": ("coarse_perception", _choose_time),
    "ocr": ("finegrained_perception (instance-level)", _choose_word),
    "attribute_recognition": ("finegrained_perception (instance-level)", _choose_attribute),
    "object_localization": ("finegrained_perception (instance-level)", _choose_place),
    "spatial_relationship": ("finegrained_perception (cross-instance)", _choose_neighbour),
    "function_reasoning": ("attribute_reasoning", _choose_function),
    "physical_relation": ("relation_reasoning", _choose_more),
    "structuralized_imagetext_understanding": ("logic_reasoning", _choose_total),
}

CHOICE_CATEGORIES = tuple(_CHOOSERS)


def _main(scene: Scene) -> str:
    return scene.kind if scene.count == 1 else KINDS[scene.kind][0]


def _be(scene: Scene) -> str:
    return "is" if scene.count == 1 else "are"


def _kind_at(scene: Scene, side: str) -> str:
    return scene.kind if side == scene.side else scene.other_kind


def _another(pool: list[str], besides: str, rng: random.Random) -> str:
    return rng.choice([item for item in pool if item != besides])
