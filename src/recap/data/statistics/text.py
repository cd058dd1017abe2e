"""Statistics of captions, one by one: words, characters, too short, repetitive.

A word is a run of non-blank characters that holds a letter or a digit, stripped of the punctuation around it.
Data-Juicer's `words_num_filter` counts in the same way but strips digits too, so that it sees no word in
"42": its count is never above this one.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

MIN_WORDS = 6
"""A caption with fewer words is too short; `words_num_filter` of the headline recipe draws the same line."""

HISTOGRAM_LIMIT = 100
"""Longer captions are counted in the last bin of a histogram of words."""


def words(caption: str) -> list[str]:
    """The caption's words in order, case kept: `words('A cat, "two" - dogs')` is [A, cat, two, dogs]."""
    stripped = (_strip_punctuation(part) for part in caption.split())
    return [word for word in stripped if word]


def _strip_punctuation(text: str) -> str:
    inside = [index for index, character in enumerate(text) if character.isalnum()]
    return text[inside[0] : inside[-1] + 1] if inside else ""


def tokens(caption: str) -> list[str]:
    """The caption's words in lower case: what every diversity index counts."""
    return [word.lower() for word in words(caption)]


def word_repetition(caption_tokens: Sequence[str]) -> float:
    """Share of a caption's words that stood in it before, in [0, 1); 0 for a caption without words."""
    return 1 - len(set(caption_tokens)) / len(caption_tokens) if caption_tokens else 0.0


def is_repetitive(caption_tokens: Sequence[str]) -> bool:
    """Whether a run of one to four words is followed at once by itself ("free download free download")."""
    count = len(caption_tokens)
    return any(
        caption_tokens[start : start + size] == caption_tokens[start + size : start + 2 * size]
        for size in range(1, 5)
        for start in range(count - 2 * size + 1)
    )


def describe_captions(captions: Sequence[str]) -> dict[str, Any]:
    """Summarise captions.

    Returns:
        Means and sample standard deviations of words and characters per caption (None for fewer than one
        or two captions), and percentages (0-100) of captions that are too short, repetitive, or
        equal to an earlier one but for case and blanks.
    """
    caption_tokens = [tokens(caption) for caption in captions]
    words_mean, words_sd = _mean_and_sd([len(item) for item in caption_tokens])
    characters_mean, characters_sd = _mean_and_sd([len(caption) for caption in captions])
    return {
        "words_mean": words_mean,
        "words_sd": words_sd,
        "characters_mean": characters_mean,
        "characters_sd": characters_sd,
        "too_short_percent": percent(sum(len(item) < MIN_WORDS for item in caption_tokens), len(captions)),
        "repetitive_percent": percent(sum(map(is_repetitive, caption_tokens)), len(captions)),
        "word_repetition_percent": percent(sum(map(word_repetition, caption_tokens)), len(captions)),
        "duplicate_caption_percent": percent(count_duplicates(captions), len(captions)),
    }


def count_duplicates(captions: Sequence[str]) -> int:
    """Number of captions that equal an earlier one, case and blanks aside."""
    return len(captions) - len({" ".join(caption.casefold().split()) for caption in captions})


def percent(part: float, whole: int) -> float | None:
    """`part` of `whole` as a percentage, or None of nothing."""
    return 100 * part / whole if whole else None


def _mean_and_sd(values: Sequence[int]) -> tuple[float | None, float | None]:
    count = len(values)
    if count == 0:
        return None, None
    mean = sum(values) / count
    if count == 1:
        return mean, None
    return mean, math.sqrt(sum((value - mean) ** 2 for value in values) / (count - 1))


def word_histogram(captions: Sequence[str]) -> list[float]:
    """Percentage (0-100) of captions by number of words.

    Returns:
        Index n holds the share of captions with n words, the last possible one (`HISTOGRAM_LIMIT`) that of
        captions with so many or more; no trailing zeros.
    """
    counts = Counter(min(len(words(caption)), HISTOGRAM_LIMIT) for caption in captions)
    return [100 * counts[number] / len(captions) for number in range(max(counts, default=-1) + 1)]
