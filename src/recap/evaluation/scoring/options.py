"""Read an option's letter out of an answer to a multiple-choice question.

Follows open-compass/VLMEvalKit@e8e78f05 (`can_infer`) in its exact-matching mode: no judge model and no random guess,
so an answer that names no option is wrong.
"""

import re
from collections.abc import Mapping

from recap.evaluation.scoring.tables import FAILED_REQUEST, REFUSALS

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
