"""The finetune set of the street world: LLaVA conversations about scenes of their own.

The prompts are those that the benchmarks use (MGM@769820c scripts/gemma/eval), so that a finetuned model knows them.
"""

import random
from typing import Any

from recap.runtime.seeding import derive_seed
from recap.world.captions import true_caption
from recap.world.questions import (
    CHOICE_CATEGORIES,
    FAMILIES,
    QuestionAnswer,
    categorised_choice,
    hint,
    question_answer,
    text_question,
)
from recap.world.scenes import Scene, scenes
from recap.world.settings import FinetuneSettings, WorldSettings

SHORT_ANSWER_PROMPT = "Answer the question using a single word or phrase."
LETTER_PROMPT = "Answer with the option's letter from the given choices directly."
DESCRIBE_PROMPT = "Describe the image."

MAX_TURNS = 4


def conversations(world: WorldSettings) -> list[tuple[Scene | None, dict[str, Any]]]:
    """The finetune set: each conversation with the scene that it is about, or None if it needs no picture."""
    shown = scenes("finetune", world.finetune.conversations, world.seed)
    found: list[tuple[Scene | None, dict[str, Any]]] = []
    for scene in shown:
        rng = random.Random(derive_seed(world.seed, "conversation", scene.id))
        if rng.random() * 100 < world.finetune.text_only:
            found.append((None, {"id": scene.id, "conversations": _messages(_text_turns(rng), with_image=False)}))
            continue
        turns = _image_turns(scene, world.finetune, rng)
        row = {"id": scene.id, "image": f"images/{scene.id}.jpg", "conversations": _messages(turns, with_image=True)}
        found.append((scene, row))
    return found


def lettered(question: str, options: list[str], hint: str = "") -> str:
    """A multiple-choice prompt: the hint if there is one, the question, "A. ...", "B. ...", what to answer with."""
    lines = [f"{letter}. {option}" for letter, option in zip("ABCD", options, strict=False)]
    return "\n".join([*([hint] if hint else []), question, *lines, LETTER_PROMPT])


def _image_turns(scene: Scene, settings: FinetuneSettings, rng: random.Random) -> list[QuestionAnswer]:
    families = rng.sample([family for family in FAMILIES if family != "read_word"], rng.randint(2, MAX_TURNS))
    if rng.random() * 100 < settings.reading:
        families[0] = "read_word"
    turns = [short_turn(question_answer(scene, family, rng)) for family in families]
    if rng.random() * 100 < settings.multiple_choice:
        turns[-1] = lettered_turn(scene, rng)
    if rng.random() * 100 < settings.describing:
        turns[-1] = (DESCRIBE_PROMPT, true_caption(scene, rng))
    rng.shuffle(turns)
    return turns


def _text_turns(rng: random.Random) -> list[QuestionAnswer]:
    return [short_turn(text_question(rng)) for _ in range(rng.randint(2, MAX_TURNS))]


def lettered_turn(scene: Scene, rng: random.Random, category: str | None = None) -> QuestionAnswer:
    """A multiple-choice question of a category, or of any, as MMBench puts it, and the letter of the right option."""
    category = category or rng.choice(CHOICE_CATEGORIES)
    choice = categorised_choice(scene, category, rng)
    return lettered(choice.question, choice.options, hint(scene, category, rng)), "ABCD"[choice.index]


def short_turn(turn: QuestionAnswer) -> QuestionAnswer:
    """A question with the request for a short answer, and its answer."""
    return f"{turn[0]}\n{SHORT_ANSWER_PROMPT}", turn[1]


def _messages(turns: list[QuestionAnswer], *, with_image: bool) -> list[dict[str, str]]:
    messages = []
    for number, (question, answer) in enumerate(turns):
        opening = "<image>\n" if with_image and number == 0 else ""
        messages += [{"from": "human", "value": opening + question}, {"from": "gpt", "value": answer}]
    return messages
