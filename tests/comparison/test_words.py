"""Words are taken from Holm's p over the benchmarks, and only where there are seeds enough."""

import pytest
from scipy import stats

from recap.comparison.statistics import Difference, Variances
from recap.comparison.words import holm, words


def difference(p, *, sign=1, runs=(3, 3), no_interval=None):
    """A benchmark of 1,001 images with this p, its seeds all alike."""
    variances = Variances(items=4.0, images=1001, runs=runs, seeds=(0, 0), residual=(0, 0))
    size = sign * 2 * stats.t.isf(p / 2, 1000)
    return Difference(1500, 1001, 800, 50, 50 + size, size, variances, no_interval, comparisons=5)


def told(*differences):
    return [word.word for word in words(differences)]


def test_holm_by_hand():
    # Sorted 0.01 * 4, 0.02 * 3, 0.03 * 2 (raised to the 0.06 before it), 0.5 * 1.
    assert holm([0.5, 0.01, 0.03, 0.02]) == pytest.approx([0.5, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([]) == []


def test_a_p_that_is_small_alone_is_not_small_among_five():
    assert told(difference(0.03)) == ["better"]
    assert told(difference(0.03), *[difference(0.5)] * 4) == ["can't tell"] * 5
    assert words([difference(0.03), *[difference(0.5)] * 4])[0].p_holm == pytest.approx(0.15)


def test_words_by_hand():
    found = words([difference(0.02), difference(0.009, sign=-1), difference(0.011), difference(0.6), difference(0.2)])
    # 0.009 * 5, 0.011 * 4 (raised), 0.02 * 3, 0.2 * 2, 0.6.
    assert [word.word for word in found] == ["can't tell", "worse", "better", "can't tell", "can't tell"]
    assert [word.p_holm for word in found] == pytest.approx([0.06, 0.045, 0.045, 0.6, 0.4])


def test_a_benchmark_without_an_interval_counts_and_cannot_tell():
    without = difference(0.001, no_interval="3 images changed")
    found = words([difference(0.03), without])
    assert [(word.word, word.p_holm) for word in found] == [("can't tell", pytest.approx(0.06)), ("can't tell", None)]


@pytest.mark.parametrize("runs", [(1, 1), (2, 2), (2, 3), (9, 2)])
def test_no_word_without_three_seeds_on_both_sides(runs):
    assert told(difference(1e-9, runs=runs)) == [None]
    assert told(difference(1e-9, runs=(3, 4))) == ["better"]
