"""Answer normalisation for soft VQA accuracy, in the two dialects that Recap's scores are made with.

A prediction and the annotators' answers are normalised the same way and then compared as strings. Followed
exactly, mistakes included, because a "corrected" rule gives other scores:
facebookresearch/mmf@b0ffc7f (the EvalAI processor; LLaVA, MGM and lmms-eval use it unchanged) and
GT-Vision-Lab/VQA@a013f00 (official VQA).
"""

import re
from functools import lru_cache

from recap.evaluation.scoring.tables import ARTICLES, CONTRACTIONS, NUMBER_WORDS, PUNCTUATION

# \d is Unicode-aware here, as it is in the references.
_COMMA_IN_NUMBER = re.compile(r"\d,\d")
# The references write `(?!<=\d)\.(?!\d)`: a mistyped look-behind, so only the character after the stop counts.
_STOP_BEFORE_NON_DIGIT = re.compile(r"\.(?!\d)")
# The references pass a flag where `sub` expects a count; the flag's value is 32.
_MAX_STOPS = 32

CONVENTIONS = ("mmf", "official_vqa")


@lru_cache(maxsize=1 << 16)
def normalize(text: str, convention: str) -> str:
    """Normalise an answer before it is compared.

    Args:
        text: A prediction or an annotator's answer.
        convention: "mmf" (TextVQA; also what EvalAI's submitters apply) or "official_vqa".

    Returns:
        Lower-case words joined by single spaces; may be empty ("a", "The.").

    Raises:
        ValueError: The convention is unknown.
    """
    if convention not in CONVENTIONS:
        raise ValueError(f"expected a convention among {', '.join(CONVENTIONS)}, found {convention!r}")
    if convention == "mmf":
        text = text.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()
    return normalize_words(normalize_punctuation(strip_whitespace(text)))


def strip_whitespace(text: str) -> str:
    return text.replace("\n", " ").replace("\t", " ").strip()


def normalize_punctuation(text: str) -> str:
    """Delete or space out punctuation, then delete full stops.

    A mark is deleted when it touches a space anywhere in the text, and every mark is deleted when the text
    holds a comma between digits; otherwise the mark becomes a space. Tests look at the unedited text.
    """
    delete_all = _COMMA_IN_NUMBER.search(text) is not None
    edited = text
    for mark in PUNCTUATION:
        delete = delete_all or f"{mark} " in text or f" {mark}" in text
        edited = edited.replace(mark, "" if delete else " ")
    return _STOP_BEFORE_NON_DIGIT.sub("", edited, count=_MAX_STOPS)


def normalize_words(text: str) -> str:
    """Lower the case, turn number words into digits, drop articles, spell contractions."""
    numbered = (NUMBER_WORDS.get(word, word) for word in text.lower().split())
    return " ".join(CONTRACTIONS.get(word, word) for word in numbered if word not in ARTICLES)
