"""The words of a whole corpus: the most frequent ones, pairs of neighbours, and how the vocabulary grows."""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy

from recap.data.statistics.text import tokens

GROWTH_POINTS = 50

Ints = numpy.ndarray[Any, numpy.dtype[numpy.int64]]


@dataclass(frozen=True)
class Text:
    """The tokens of all captions, in order, as numbers: four bytes each.

    Attributes:
        vocabulary: The different tokens by number, in order of first use.
        numbers: int64, shape (tokens,).
        caption: The caption that a token stands in, shape (tokens,).
    """

    vocabulary: list[str]
    numbers: Ints
    caption: Ints


def read_text(captions: Iterable[str]) -> Text:
    known: dict[str, int] = {}
    numbers, lengths = array("i"), array("i")
    for caption in captions:
        found = tokens(caption)
        numbers.extend(known.setdefault(token, len(known)) for token in found)
        lengths.append(len(found))
    caption_numbers = numpy.repeat(numpy.arange(len(lengths)), numpy.asarray(lengths, dtype=numpy.int64))
    return Text(list(known), numpy.asarray(numbers, dtype=numpy.int64), caption_numbers)


def frequent_words(text: Text, count: int) -> dict[str, int]:
    """The most frequent tokens and how often they occur; equals in order of first use."""
    counts = numpy.bincount(text.numbers, minlength=len(text.vocabulary))
    order = numpy.argsort(-counts, kind="stable")[:count]
    return {text.vocabulary[number]: int(counts[number]) for number in order}


def frequent_bigrams(text: Text, count: int) -> dict[str, int]:
    """The most frequent pairs of tokens that follow one another within a caption."""
    size = len(text.vocabulary)
    neighbours = text.caption[:-1] == text.caption[1:]
    pairs, counts = numpy.unique((text.numbers[:-1] * size + text.numbers[1:])[neighbours], return_counts=True)
    order = numpy.argsort(-counts, kind="stable")[:count]
    return {f"{text.vocabulary[pairs[i] // size]} {text.vocabulary[pairs[i] % size]}": int(counts[i]) for i in order}


def vocabulary_growth(text: Text) -> list[tuple[int, int]]:
    """Pairs (tokens read, different ones among them) at `GROWTH_POINTS` even steps; shuffle the captions before."""
    total = len(text.numbers)
    firsts = numpy.zeros(total, dtype=bool)
    firsts[numpy.unique(text.numbers, return_index=True)[1]] = True
    different = numpy.cumsum(firsts)
    steps = numpy.unique(numpy.linspace(0, total, GROWTH_POINTS + 1).astype(int)[1:])
    return [(int(step), int(different[step - 1])) for step in steps if step]
