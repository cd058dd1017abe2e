"""MMBench's rules: read an option letter out of an answer, and CircularEval over rotated copies of a question.

Extraction follows open-compass/VLMEvalKit@e8e78f05 (`can_infer`) in its exact-matching mode: no judge model and no
random guess, so an answer that names no option is wrong. CircularEval is MMBench (2307.06281 §4.3): a question
counts only if it is right under every rotation of its options.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from recap.evaluation.benchmarks.mmbench import base_index, present_options
from recap.evaluation.tables import FAILED_REQUEST, REFUSALS

REFUSED = "Z"

_TO_SPACES = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
# The reference has no word boundary behind the letter: "the answer is dog" reads as D.
_STATED = re.compile(r"(?:correct )?answer is \**([ABCD])", re.IGNORECASE)


def extract_choice(text: str, choices: Mapping[str, str]) -> str | None:
    """The option that an answer names.

    Args:
        text: What the model said.
        choices: Option letter to option text, for the options that exist.

    Returns:
        A letter of `choices`, "Z" for a refusal, or None when no rule applies.
    """
    if FAILED_REQUEST not in text:
        letter = _from_letter(text, choices)
        if letter is not None:
            return letter
    return _from_text(text, choices)


def _from_letter(text: str, choices: Mapping[str, str]) -> str | None:
    if any(refusal in text for refusal in REFUSALS):
        return REFUSED
    tokens = text.translate(_TO_SPACES).split()
    present = [letter for letter in choices if letter in tokens]
    # Only near the end, so that the article in "A man is riding a red horse" is no answer.
    if len(present) == 1 and tokens.index(present[0]) > len(tokens) - 5:
        return present[0]
    if not present and REFUSED in tokens:
        return REFUSED
    stated = _STATED.search(text)
    if stated and stated[1].upper() in choices:
        return stated[1].upper()
    return None


def _from_text(text: str, choices: Mapping[str, str]) -> str | None:
    text = text.lower()
    if len(text) > 2 * sum(map(len, choices.values())):
        return None
    named = [letter for letter, option in choices.items() if option.lower() in text]
    return named[0] if len(named) == 1 else None


@dataclass(frozen=True)
class CircularGroup:
    """One question with the answers to all its rotations.

    Attributes:
        index: The base row's index.
        rows: Its rows in index order; the first pass comes first.
        extracted: What was read out of each row's prediction.
        correct: Whether that is each row's answer.
    """

    index: int
    rows: list[Mapping[str, Any]]
    extracted: list[str | None]
    correct: list[bool]

    @property
    def hit(self) -> bool:
        return all(self.correct)

    @property
    def complete(self) -> bool:
        """Whether there is one row for each rotation; a group with fewer is too easy."""
        return len(self.rows) == len(present_options(self.rows[0]))


def circular_groups(rows: Iterable[Mapping[str, Any]]) -> list[CircularGroup]:
    """Group rows by question, in the order in which questions first appear.

    Args:
        rows: With `index`, `A` to `D`, `answer` (a letter), `prediction` (text) and optionally `g_index`. Rotations
            whose base row is missing are left out, as the reference does.
    """
    by_base: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_base.setdefault(base_index(row), []).append(row)
    groups = []
    for index, members in by_base.items():
        members.sort(key=lambda row: int(row["index"]))
        if int(members[0]["index"]) != index:
            continue
        extracted = [extract_choice(str(row["prediction"]), present_options(row)) for row in members]
        correct = [letter == row["answer"] for letter, row in zip(extracted, members, strict=True)]
        groups.append(CircularGroup(index=index, rows=members, extracted=extracted, correct=correct))
    return groups


def circular_accuracy(rows: Iterable[Mapping[str, Any]]) -> float:
    """CircularEval accuracy in [0, 1]: the share of questions that are right under every rotation.

    Args:
        rows: See `circular_groups`.

    Raises:
        ValueError: There is no question.
    """
    groups = circular_groups(rows)
    if not groups:
        raise ValueError("expected at least one question with its base row, found none")
    return sum(group.hit for group in groups) / len(groups)
