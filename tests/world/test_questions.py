import random
from collections import Counter
from dataclasses import replace

import pytest

from recap.world.lexicon import COLOURS, KINDS, SIGN_WORDS
from recap.world.questions import (
    CHOICE_CATEGORIES,
    FAMILIES,
    categorised_choice,
    hint,
    question_answer,
    text_choice,
    text_question,
)
from recap.world.scenes import Scene, scenes

SCENE = Scene(
    id="x-000000", word="bakery", sign_colour="blue", night=True, kind="bus", colour="red", count=3, side="left",
    other_kind="cat", other_colour="black", sign_row=1, sign_column=2, width=400, height=360, look=1,
)  # fmt: skip


def answers(family: str, scene: Scene = SCENE, draws: int = 60) -> dict[str, str]:
    """Every question that a family asks about a scene, with its answer."""
    rng = random.Random(0)
    return dict(question_answer(scene, family, rng) for _ in range(draws))


@pytest.mark.parametrize(
    ("family", "question", "answer"),
    [
        ("read_word", "what does the blue sign say?", "bakery"),
        ("knowledge", "what is this place known for?", "bread"),
        ("main_colour", "what color are the buses?", "red"),
        ("other_colour", "what color is the cat?", "black"),
        ("sign_colour", "what color is the sign?", "blue"),
        ("kind_on_side", "what is on the left?", "bus"),
        ("kind_on_side", "what is on the right?", "cat"),
        ("class_on_side", "what class of thing is on the left?", "vehicle"),
        ("class_on_side", "what class of thing is on the right?", "animal"),
        ("side", "which side are the buses on?", "left"),
        ("side", "which side is the cat on?", "right"),
        ("count", "how many red buses are there?", "3"),
        ("time", "is it day or night?", "night"),
        ("has_kind", "is there a bus in the picture?", "yes"),
        ("has_kind", "is there a dog in the picture?", "no"),
        ("is_colour", "are the buses red?", "yes"),
        ("is_colour", "are the buses blue?", "no"),
    ],
)
def test_answers_follow_from_the_scene(family: str, question: str, answer: str) -> None:
    assert answers(family)[question] == answer


def test_one_object_is_singular() -> None:
    one = replace(SCENE, count=1)
    assert answers("main_colour", one) == {"what color is the bus?": "red"}
    assert answers("is_colour", one)["is the bus red?"] == "yes"


def test_choices_between_two_hold_the_answer() -> None:
    for family in ("choose_colour", "choose_kind"):
        for question, answer in answers(family).items():
            assert answer in question.rstrip("?").split()


def test_answers_are_single_lower_case_words() -> None:
    known = {*SIGN_WORDS, *SIGN_WORDS.values(), *COLOURS, *KINDS, *(c for _, c in KINDS.values())}
    known |= {"yes", "no", "day", "night", "left", "right", "1", "2", "3", "4"}
    rng = random.Random(3)
    for scene in scenes("foundry", 100, 3):
        for family in FAMILIES:
            question, answer = question_answer(scene, family, rng)
            assert answer in known
            assert question == question.lower()
            assert question.endswith("?")
            assert "\n" not in question


@pytest.mark.parametrize("family", ["has_kind", "is_colour"])
def test_yes_and_no_are_balanced(family: str) -> None:
    rng = random.Random(1)
    counts = Counter(question_answer(SCENE, family, rng)[1] for _ in range(1000))
    assert abs(counts["yes"] - counts["no"]) < 100


@pytest.mark.parametrize("category", CHOICE_CATEGORIES)
def test_multiple_choice_has_one_right_option(category: str) -> None:
    rng = random.Random(2)
    places = Counter()
    for scene in scenes("foundry", 200, 4):
        choice = categorised_choice(scene, category, rng)
        assert 2 <= len(choice.options) <= 4
        assert len(set(choice.options)) == len(choice.options)
        places[choice.index] += 1
    assert min(places[index] for index in range(2)) > 20  # the right option stands anywhere


def test_multiple_choice_answers() -> None:
    rng = random.Random(0)
    choices = [categorised_choice(SCENE, category, rng) for category in CHOICE_CATEGORIES for _ in range(20)]
    right = {choice.question: choice.options[choice.index] for choice in choices}
    assert right["what does the sign say?"] == "bakery"
    assert right["what is to the right of the buses?"] == "cat"
    assert right["what are there more of?"] == "buses"
    assert right["how many things are there in all?"] == "4"


def test_hints_give_nothing_away() -> None:
    """Every so often a true sentence, and none where the question is about what it says."""
    rng = random.Random(0)
    hints = {category: {hint(SCENE, category, rng) for _ in range(100)} for category in CHOICE_CATEGORIES}
    assert hints.pop("image_scene") == {""}
    assert all(found == {"", "the picture was taken at night"} for found in hints.values())


def test_multiple_choice_without_a_scene() -> None:
    rng = random.Random(0)
    known = {text_question(rng) for _ in range(2000)}
    for _ in range(200):
        question, options, index = text_choice(rng)
        assert len(set(options)) == 4
        assert (question, options[index]) in known


def test_text_questions_need_no_scene() -> None:
    rng = random.Random(0)
    asked = dict(text_question(rng) for _ in range(300))
    assert asked["what can you expect at an airport?"] == "flying"
    assert asked["what class of thing is a dog?"] == "animal"
