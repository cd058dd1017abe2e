"""What the tiny language model is taught: true answers, right letters, captions that give nothing away."""

import random
import re
from collections import Counter

import pytest

from recap.foundry.conversations import (
    DESCRIBE,
    SORTS,
    ask_hard,
    captioned_turns,
    hard_text_turn,
    matching_turn,
    pictured_turns,
    text_turn,
)
from recap.world.captions import article
from recap.world.finetune import LETTER_PROMPT, SHORT_ANSWER_PROMPT
from recap.world.lexicon import KINDS, SIGN_WORDS
from recap.world.questions import HINTED_PERCENT
from recap.world.scenes import Scene, scenes

OPTION = re.compile(r"^([A-D])\. (.+)$", re.MULTILINE)


def conversations(count: int = 300) -> list[tuple[Scene, list[tuple[str, str]]]]:
    rng = random.Random(0)
    return [(scene, pictured_turns(scene, rng)) for scene in scenes("foundry", count, 6)]


def chosen(message: str, answer: str) -> str:
    """The text of the option whose letter is the answer."""
    return dict(OPTION.findall(message))[answer]


def test_the_picture_stands_on_a_line_of_its_own() -> None:
    for _, turns in conversations():
        assert turns[0][0].startswith("\n")
        assert not any(message.startswith("\n") for message, _ in turns[1:])


def test_answers_are_true() -> None:
    """Of the questions whose answer is easily told from the scene, with letters and without."""
    seen = 0
    for scene, turns in conversations():
        known = {
            "what does the sign say?": scene.word,
            "what color is the sign?": scene.sign_colour,
            f"what color is the {scene.other_kind}?": scene.other_colour,
            "what is on the left?": scene.kind if scene.side == "left" else scene.other_kind,
            "how many things are there in all?": str(scene.count + 1),
            "what time of day is it?": scene.time,
        }
        for message, answer in turns:
            for question, truth in known.items():
                if question in message:
                    assert (chosen(message, answer) if OPTION.search(message) else answer) == truth
                    seen += 1
    assert seen > 200


def test_every_form_that_a_run_uses_is_there() -> None:
    messages = [message for _, turns in conversations() for message, _ in turns]
    lettered = [message for message in messages if OPTION.search(message)]
    assert 0.3 < len(lettered) / len(messages) < 0.5
    assert sum(message.endswith(LETTER_PROMPT) for message in lettered) > 0.6 * len(lettered)
    assert sum(message.endswith(SHORT_ANSWER_PROMPT) for message in messages) > 0.1 * len(messages)
    hinted = sum(message.lstrip("\n").startswith("the picture was taken") for message in lettered)
    assert 0 < hinted < HINTED_PERCENT / 100 * len(lettered)


def test_captions_come_last() -> None:
    captioned = [turns for _, turns in conversations() if turns[-1][0] in DESCRIBE]
    assert 0.4 < len(captioned) / 300 < 0.6
    for turns in captioned:
        assert not set(DESCRIBE) & {message for message, _ in turns[:-1]}
    # Both kinds, about equally often: descriptions name the sign's word, few alt-texts do.
    raw = sum("sign" not in turns[-1][1] for turns in captioned)
    assert 0.3 < raw / len(captioned) < 0.6


def test_texts_are_right() -> None:
    rng = random.Random(1)
    classes = {f"what class of thing is {article(kind)} {kind}?": entry[1] for kind, entry in KINDS.items()}
    offers = {f"what can you expect at {article(word)} {word}?": offer for word, offer in SIGN_WORDS.items()}
    facts = classes | offers
    singular = {name: kind for kind, (plural, _) in KINDS.items() for name in (kind, plural)}
    places, seen = set(), Counter()
    for _ in range(800):
        message, answer = text_turn(rng)
        question = message.split("\n")[0]
        if OPTION.search(message):
            right = chosen(message, answer)
            assert right == facts.get(question, question.removeprefix("which option says ").removesuffix("?"))
            options = [text for _, text in OPTION.findall(message)]
            assert len(set(options)) == len(options) == 4
            assert any(set(options) <= set(sort) for sort in SORTS)
            places.add(answer)
            seen["lettered"] += 1
        elif message.split("\n")[1].startswith("is there a"):
            listed = {singular[name] for name in question.split(" and ")}
            asked = message.split("\n")[1].removesuffix("?").split()[-1]
            assert answer == ("yes" if asked in listed else "no")
            seen[answer] += 1
        else:
            assert facts[question] == answer
            seen["short"] += 1
    assert places == set("ABCD")
    assert min(seen.values()) > 40 and set(seen) == {"lettered", "yes", "no", "short"}
    assert abs(seen["yes"] - seen["no"]) < 50


def test_the_review_asks_about_sides() -> None:
    """True answers, and well over as many questions about sides as the lesson before has."""
    rng = random.Random(4)
    shown = list(scenes("foundry", 300, 6))
    hard = [(scene, turn) for scene in shown for turn in pictured_turns(scene, rng, ask_hard)]
    usual = [(scene, turn) for scene in shown for turn in pictured_turns(scene, rng)]
    checked = 0
    for scene, (message, answer) in hard:
        if not OPTION.search(message) and (asked := re.search(r"what is on the (left|right)", message)):
            assert answer == (scene.kind if scene.side == asked[1] else scene.other_kind)
            checked += 1
    assert checked > 50
    assert _about_sides(hard) > 1.4 * _about_sides(usual)


def _about_sides(turns: list[tuple[Scene, tuple[str, str]]]) -> float:
    """The share of questions about sides."""
    return sum(bool(re.search("side|the (left|right)", message)) for _, (message, _) in turns) / len(turns)


def test_sides_without_a_picture() -> None:
    rng = random.Random(5)
    singular = {name: kind for kind, (plural, _) in KINDS.items() for name in (kind, plural)}
    seen = Counter()
    for _ in range(1500):
        message, answer = hard_text_turn(rng)
        told, _, question = message.partition("\n")
        if match := re.fullmatch(r"(\w+) (left|right) and (\w+) (left|right)", told):
            one, side, other, opposite = match.groups()
            placed = {side: singular[one], opposite: singular[other]}
            assert set(placed) == {"left", "right"} and len(set(placed.values())) == 2
            if asked := re.fullmatch(r"what is on the (\w+)\?", question):
                assert answer == placed[asked[1]]
            else:
                asked = re.fullmatch(r"which side is the (\w+) on\?", question)
                assert asked and placed[answer] == asked[1]
            seen[answer] += 1
    assert 200 < seen.total() < 400
    assert abs(seen["left"] - seen["right"]) < 50


@pytest.mark.parametrize("bare", [True, False])
def test_matching(bare: bool) -> None:
    rng = random.Random(2)
    for _ in range(50):
        message, answer = matching_turn(rng, bare=bare)
        word = chosen(message, answer)
        assert message.startswith(f"{word}\nA. " if bare else f"which option says {word}?\nA. ")
        assert not (bare and LETTER_PROMPT in message)


def test_a_picture_has_both_kinds_of_captions() -> None:
    rng = random.Random(3)
    described_first = 0
    for scene in scenes("foundry", 200, 6):
        (first, one), (second, two) = captioned_turns(scene, rng)
        assert first == "" and second in DESCRIBE
        described = [{scene.word, scene.colour} <= set(caption.split()) for caption in (one, two)]
        assert sorted(described) == [False, True]
        described_first += described[0]
    assert 60 < described_first < 140
