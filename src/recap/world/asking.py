"""Choose what a benchmark asks: one or two different questions about each of its scenes, and what people answer."""

import random
from dataclasses import dataclass
from typing import Literal

from recap.runtime.seeding import derive_seed
from recap.world.annotators import ocr_tokens, perceived_answers, written_answers
from recap.world.questions import CHOICE_CATEGORIES, Choice, categorised_choice, hint, question_answer
from recap.world.scenes import NIGHTS, Scene, scenes

# How people answer: typing what they read, or saying what they believe to see.
Annotators = Literal["written", "perceived"]
_ANNOTATORS = {"written": written_answers, "perceived": perceived_answers}


@dataclass(frozen=True)
class Asked:
    """One question of a benchmark.

    Attributes:
        scene: What it is about.
        image: Counts the scenes from 0.
        turn: Counts the questions of one scene from 0.
        family: The kind of question, one of `recap.world.questions.FAMILIES`.
        question: Lower case, with a question mark.
        answer: The right one, a word.
        answers: Ten people's.
        ocr_tokens: What an OCR engine reads in the picture.
    """

    scene: Scene
    image: int
    turn: int
    family: str
    question: str
    answer: str
    answers: tuple[str, ...]
    ocr_tokens: tuple[str, ...]


@dataclass(frozen=True)
class AskedChoice:
    """One multiple-choice question of a benchmark; `hint` is empty for most."""

    scene: Scene
    choice: Choice
    hint: str


def questions_by_scene(count: int, rng: random.Random) -> list[int]:
    """How many questions each scene gets, one or two, adding up to `count`."""
    numbers: list[int] = []
    while count > 0:
        numbers.append(min(rng.choice((1, 2)), count))
        count -= numbers[-1]
    return numbers


def ask(benchmark: str, families: dict[str, int], annotators: Annotators, *, count: int, seed: int) -> list[Asked]:
    """The questions of a benchmark, no question twice about one scene.

    Args:
        benchmark: Also the name of the split that owns the scenes.
        families: Weight of each question family.
        annotators: How people answer.
        count: How many questions.
        seed: The world's.
    """
    rng = random.Random(derive_seed(seed, benchmark))
    numbers = questions_by_scene(count, rng)
    asked: list[Asked] = []
    for image, (scene, number) in enumerate(zip(scenes(benchmark, len(numbers), seed), numbers, strict=True)):
        done: set[str] = set()
        while len(done) < number:
            family = rng.choices(list(families), weights=list(families.values()))[0]
            if family == "time" and not _worth_asking_the_time(scene, rng):
                continue
            question, answer = question_answer(scene, family, rng)
            if question not in done:
                # A generator of their own: how people answer does not change what is asked next.
                people = random.Random(derive_seed(seed, f"{benchmark} answers", scene.id, question))
                answers = tuple(_ANNOTATORS[annotators](answer, people))
                tokens = tuple(ocr_tokens(scene.word, people))
                asked.append(Asked(scene, image, len(done), family, question, answer, answers, tokens))
                done.add(question)
    return asked


def ask_choices(benchmark: str, *, count: int, seed: int) -> list[AskedChoice]:
    """The multiple-choice questions of a benchmark, no category twice about one scene; see `ask`."""
    rng = random.Random(derive_seed(seed, benchmark))
    numbers = questions_by_scene(count, rng)
    asked: list[AskedChoice] = []
    for scene, number in zip(scenes(benchmark, len(numbers), seed), numbers, strict=True):
        ask_time = _worth_asking_the_time(scene, rng)
        categories = [category for category in CHOICE_CATEGORIES if ask_time or category != "image_scene"]
        for category in rng.sample(categories, number):
            choice = categorised_choice(scene, category, rng)
            asked.append(AskedChoice(scene, choice, hint(scene, category, rng)))
    return asked


def _worth_asking_the_time(scene: Scene, rng: random.Random) -> bool:
    """Always by night, for some scenes by day: "day" is to be the answer half of the time, seven scenes in ten or not.

    As GQA balances its answers; otherwise a model that sees nothing is right by saying "day".
    """
    return scene.night or rng.random() < NIGHTS / (1 - NIGHTS)
