"""Words, lengths and repetition of captions against values worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recap.data.statistics.text import (
    HISTOGRAM_LIMIT,
    count_duplicates,
    describe_captions,
    is_repetitive,
    tokens,
    word_histogram,
    word_repetition,
    words,
)


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("a cat", ["a", "cat"]),
        ('A cat, "two" - dogs!', ["A", "cat", "two", "dogs"]),
        ("IMG_0042.JPG", ["IMG_0042.JPG"]),
        ("the dog's 2 well-known bones", ["the", "dog's", "well-known", "bones"]),
        ("  tabs\tand\nlines ", ["tabs", "and", "lines"]),
        ("une forêt", ["une", "forêt"]),
        ("... !!!", []),
        ("", []),
    ],
)
def test_words(caption: str, expected: list[str]) -> None:
    assert words(caption) == expected


def test_tokens_are_lower_case() -> None:
    assert tokens("A Cat") == ["a", "cat"]


@pytest.mark.parametrize(
    ("caption", "repetitive"),
    [
        ("cat cat cat cat cat", True),
        ("seamless background free download free download", True),
        ("a red car, a red car", True),
        ("one two three four one two three four", True),
        ("one two three four five one two three four five", False),  # a run of five is a chorus, not a stutter
        ("a cat and a dog", False),
        ("cat", False),
        ("", False),
    ],
)
def test_repetitive(caption: str, repetitive: bool) -> None:
    assert is_repetitive(tokens(caption)) is repetitive


def test_word_repetition() -> None:
    assert word_repetition(["a", "b", "a", "a"]) == 0.5  # two of four words stood there before
    assert word_repetition(["a"]) == word_repetition([]) == 0.0


def test_describe_captions() -> None:
    facts = describe_captions(["a cat", "A  cat", "cat cat cat cat cat cat"])
    assert facts["words_mean"] == pytest.approx(10 / 3)
    assert facts["words_sd"] == pytest.approx((16 / 3) ** 0.5)  # deviations -4/3, -4/3, 8/3: 96/9 / 2
    assert facts["characters_mean"] == pytest.approx((5 + 6 + 23) / 3)
    assert facts["too_short_percent"] == pytest.approx(200 / 3)
    assert facts["repetitive_percent"] == pytest.approx(100 / 3)
    assert facts["word_repetition_percent"] == pytest.approx(100 * (5 / 6) / 3)
    assert facts["duplicate_caption_percent"] == pytest.approx(100 / 3)


def test_describe_few_captions() -> None:
    one = describe_captions(["a cat"])
    assert (one["words_mean"], one["words_sd"]) == (2, None)
    assert set(describe_captions([]).values()) == {None}


def test_duplicates_ignore_case_and_blanks() -> None:
    assert count_duplicates(["a cat", "A  Cat ", "a dog", "a cat"]) == 2


def test_histogram() -> None:
    assert word_histogram(["a", "a b", "c d", "a b c d"]) == [0, 25, 50, 0, 25]
    assert word_histogram([]) == []
    assert len(word_histogram(["x " * 500])) == HISTOGRAM_LIMIT + 1


@given(st.lists(st.text(max_size=40), min_size=1, max_size=20))
def test_histogram_holds_every_caption(captions: list[str]) -> None:
    assert sum(word_histogram(captions)) == pytest.approx(100)
