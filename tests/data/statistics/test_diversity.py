"""Diversity indices: values worked out by hand, and agreement with implementations straight from the formulas."""

import gzip
import math
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lexicalrichness import LexicalRichness
from sacrebleu.metrics import BLEU

from recap.data.statistics.diversity import (
    SELF_BLEU_TOKENS,
    compression_ratio,
    describe_diversity,
    distinct,
    hdd,
    maas,
    mattr,
    mtld,
    self_bleu,
    self_repetition,
    ttr,
)
from recap.data.statistics.sampling import Sample

TEXTS = st.lists(st.sampled_from("abcdefghij"), min_size=2, max_size=80)


def test_ttr_and_maas() -> None:
    assert ttr(["a", "b", "a", "c"]) == 0.75
    assert maas(["a", "b", "a", "c"]) == pytest.approx(0.149693, abs=1e-6)  # (ln 4 - ln 3) / (ln 4)²


def test_mattr() -> None:
    assert mattr(["a", "a", "b", "b"], 2) == pytest.approx(2 / 3)  # windows aa 1/2, ab 1, bb 1/2


def test_mtld_counts_whole_factors() -> None:
    assert mtld(["a", "a", "a", "a"]) == 2  # the TTR falls to 1/2 at every second token


def test_mtld_counts_the_remainder() -> None:
    # Forwards: a a is a factor, b c d b leaves a TTR of 3/4: 0.25 / 0.28 of one. Backwards: b d c b a a is one factor.
    forwards, backwards = 6 / (1 + 0.25 / 0.28), 6
    assert mtld(["a", "a", "b", "c", "d", "b"]) == pytest.approx((forwards + backwards) / 2)


def test_mtld_of_a_text_without_repetition_is_its_length() -> None:
    assert mtld(["a", "b", "c"]) == 3


def test_hdd() -> None:
    # Two draws from a a b: an a is always among them, the b in 2 of 3 cases.
    assert hdd(["a", "a", "b"], 2) == pytest.approx((1 + 2 / 3) / 2)


def test_distinct_does_not_cross_captions() -> None:
    assert distinct([["a", "b", "a"], ["a", "b"]], 2) == pytest.approx(2 / 3)  # ab, ba, ab
    assert distinct([["a", "b", "a"], ["a", "b"]], 1) == pytest.approx(2 / 5)


def test_self_bleu() -> None:
    assert self_bleu(["a b c d", "A b, c d!"]) == pytest.approx(100)
    assert self_bleu(["a b c d", "e f g h"]) == 0
    # Precisions 2/4, 1/3, and smoothed 1/(2·2), 1/(4·1); equal lengths, so no penalty.
    assert self_bleu(["a b c d", "a b x y"]) == pytest.approx(100 * (1 / 2 * 1 / 3 * 1 / 4 * 1 / 4) ** 0.25)


@given(st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=9), min_size=2, max_size=12))
def test_self_bleu_is_sacrebleus(token_lists: list[list[str]]) -> None:
    """Against every caption scored by the library itself, with all others as its references."""
    sentences = [" ".join(item) for item in token_lists]
    bleu = BLEU(tokenize="none", smooth_method="exp", effective_order=True)
    scores = [
        bleu.sentence_score(sentence, sentences[:index] + sentences[index + 1 :]).score
        for index, sentence in enumerate(sentences)
    ]
    assert self_bleu(sentences) == pytest.approx(sum(scores) / len(scores))


def test_self_repetition() -> None:
    # 4-grams: abcd, bcde; abcd; wxyz. Other captions that have the first one's: 1 + 0; the second's: 1; the third's: 0.
    assert self_repetition(["a b c d e", "A b, c d", "w x y z"]) == pytest.approx((math.log(2) + math.log(2) + 0) / 3)
    assert self_repetition(["a b", "a b"]) == 0  # no caption has four words
    # A 4-gram that a caption repeats counts once: what is counted are the captions that have it.
    assert self_repetition(["a b a b a b", "a b a b"]) == pytest.approx(math.log(2))
    assert self_repetition([]) is None


@given(TEXTS)
def test_indices_are_lexicalrichness_own(text: list[str]) -> None:
    theirs = LexicalRichness(text, preprocessor=None, tokenizer=None)
    draws, window = min(4, len(text)), min(5, len(text))
    assert hdd(text, draws) == pytest.approx(theirs.hdd(draws=draws))
    assert mattr(text, window) == pytest.approx(theirs.mattr(window_size=window))
    assert mtld(text) == pytest.approx(theirs.mtld())
    assert maas(text) == pytest.approx(theirs.Maas)


def test_self_bleu_of_a_megabyte_takes_no_minutes() -> None:
    """Only the beginning of what is no caption counts: equal beginnings are equal."""
    words = [f"w{number % 997}" for number in range(SELF_BLEU_TOKENS)]
    longer = [*words, *["word"] * 200_000]
    assert self_bleu([" ".join(words), " ".join(longer)]) == pytest.approx(100)


def test_compression_ratio() -> None:
    raw = b"a b\nc"
    assert compression_ratio([["a", "b"], ["c"]]) == pytest.approx(len(raw) / len(gzip.compress(raw)))
    assert compression_ratio([["again"] * 1000]) > 50


def test_too_short_texts_have_no_value() -> None:
    facts = describe_diversity(Sample([], []), mattr_window=50, hdd_sample=42, self_bleu_sample=10)
    assert set(facts.values()) == {None}
    short = describe_diversity(Sample(["a b"], [["a", "b"]]), mattr_window=50, hdd_sample=42, self_bleu_sample=10)
    assert short["mattr"] is short["hdd"] is short["self_bleu"] is short["distinct_3"] is None
    assert short["ttr"] == 1


@given(TEXTS)
def test_agreement_with_the_formulas(text: list[str]) -> None:
    n, types = len(text), Counter(text)
    assert ttr(text) == pytest.approx(len(types) / n)
    assert maas(text) == pytest.approx((math.log(n) - math.log(len(types))) / math.log(n) ** 2)
    window = min(5, n)
    shares = [len(set(text[start : start + window])) / window for start in range(n - window + 1)]
    assert mattr(text, window) == pytest.approx(sum(shares) / len(shares))
    draws = min(4, n)
    absent = [math.comb(n - count, draws) / math.comb(n, draws) for count in types.values()]
    assert hdd(text, draws) == pytest.approx(sum(1 - share for share in absent) / draws)
    bigrams = list(pairwise(text))
    assert distinct([text], 2) == pytest.approx(len(set(bigrams)) / len(bigrams))


def naive_factors(text: list[str]) -> float:
    factors, start = 0.0, 0
    for end in range(1, len(text) + 1):
        part = text[start:end]
        if len(set(part)) / len(part) <= 0.72:
            factors, start = factors + 1, end
    rest = text[start:]
    return factors + (1 - len(set(rest)) / len(rest)) / (1 - 0.72) if rest else factors


@given(TEXTS)
def test_mtld_agrees_with_the_definition(text: list[str]) -> None:
    forwards, backwards = naive_factors(text), naive_factors(text[::-1])
    expected = sum(len(text) / (factors or 1) for factors in (forwards, backwards)) / 2
    assert mtld(text) == pytest.approx(expected)
