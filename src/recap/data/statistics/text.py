"""Statistics of captions, one by one: words, characters, too short, repetitive.

A word is what Data-Juicer's `words_num_filter` counts: what stands between blanks, stripped of punctuation, digits and
emoji at both ends, if anything is left. A standard deviation is the sample's, with n - 1, here and everywhere in Recap.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from recap.data.processing.juicer import SPECIAL_CHARACTERS, get_words_from_document, words_refinement

Floats = NDArray[np.float64]

MIN_WORDS = 6
"""A caption with fewer words is too short; `words_num_filter` of the recipes draws the same line."""

PERCENTAGES = ("too_short", "repetitive", "word_repetition")
"""The columns of `measure_captions` that are percentages."""

HISTOGRAM_LIMIT = 100
"""Longer captions are counted in the last bin of a histogram of words."""


def words(caption: str) -> list[str]:
    """The caption's words in order, case kept: `words('A cat, "two" - 3 dogs')` is [A, cat, two, dogs]."""
    found: list[str] = words_refinement(get_words_from_document(caption), strip_chars=SPECIAL_CHARACTERS)
    return found


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


def measure_captions(captions: Sequence[str]) -> dict[str, Floats]:
    """What each caption is like.

    Returns:
        Columns of shape (rows,): numbers of words and characters; 100 where a caption is too short or repetitive, else
        0; and the percentage (0-100) of its words that stood in it before. Their means are numbers and percentages.
    """
    rows = []
    for caption in tqdm(captions, desc="words", unit="caption", delay=3, leave=False):
        found = tokens(caption)
        too_short, repetitive = len(found) < MIN_WORDS, is_repetitive(found)
        rows.append((len(found), len(caption), 100 * too_short, 100 * repetitive, 100 * word_repetition(found)))
    columns = np.array(rows, dtype=np.float64).reshape(-1, 5).T
    return dict(zip(("words", "characters", *PERCENTAGES), columns, strict=True))


def describe_captions(captions: Sequence[str]) -> dict[str, Any]:
    """Summarise captions.

    Returns:
        Means and standard deviations of words and characters per caption (None for fewer than one or two captions), and
        percentages (0-100) of captions that are too short, repetitive, or equal to an earlier one but for case and
        blanks.
    """
    columns = measure_captions(captions)
    (words_mean, words_sd), (characters_mean, characters_sd), *percentages = (
        mean_and_sd(column.tolist()) for column in columns.values()
    )
    return {
        "words_mean": words_mean,
        "words_sd": words_sd,
        "characters_mean": characters_mean,
        "characters_sd": characters_sd,
        **{f"{name}_percent": mean for name, (mean, _) in zip(PERCENTAGES, percentages, strict=True)},
        "duplicate_caption_percent": percent(count_duplicates(captions), len(captions)),
    }


def count_duplicates(captions: Sequence[str]) -> int:
    """Number of captions that equal an earlier one, case and blanks aside."""
    return len(captions) - len({" ".join(caption.casefold().split()) for caption in captions})


def percent(part: float, whole: int) -> float | None:
    """`part` of `whole` as a percentage, or None of nothing."""
    return 100 * part / whole if whole else None


def mean_and_sd(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Mean and sample standard deviation; None of fewer than one or two values."""
    count = len(values)
    if count == 0:
        return None, None
    mean = math.fsum(values) / count
    if count == 1:
        return mean, None
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))


def word_histogram(captions: Iterable[str]) -> list[float]:
    """`histogram` of the captions' numbers of words."""
    return histogram(len(words(caption)) for caption in captions)


def histogram(num_words: Iterable[int]) -> list[float]:
    """Percentage (0-100) of captions by number of words.

    Returns:
        Index n holds the share of captions with n words, the last possible one (`HISTOGRAM_LIMIT`) that of
        captions with so many or more; no trailing zeros.
    """
    counts = Counter(min(number, HISTOGRAM_LIMIT) for number in num_words)
    return [100 * counts[number] / counts.total() for number in range(max(counts, default=-1) + 1)]
