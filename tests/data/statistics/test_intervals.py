"""Intervals: values worked out by hand, what has none, and how often they hold the truth in a simulation."""

from math import sqrt

import numpy as np
import pytest
from scipy import stats

from recap.data.statistics import coverage
from recap.data.statistics.intervals import (
    NO_ROWS,
    NO_SPREAD,
    NO_VALUE,
    ONE_IMAGE,
    TOO_SMALL,
    Estimate,
    of_change,
    of_mean,
    of_subsamples,
)


def test_of_subsamples() -> None:
    estimate = of_subsamples([1.0, 2.0, 3.0])
    # Standard deviation 1, so an error of 1 / sqrt(3); t with two degrees of freedom reaches 4.3027.
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx(
        (2, 2 - 4.302653 / sqrt(3), 2 + 4.302653 / sqrt(3))
    )


def test_of_mean_is_the_t_interval_where_every_row_has_its_own_picture() -> None:
    values = np.array([3.0, 5.0, 10.0])
    low, high = stats.t.interval(0.95, 2, loc=6, scale=stats.sem(values))
    estimate = of_mean(values, np.arange(3))
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((6, low, high))


def test_rows_of_one_picture_are_one_observation() -> None:
    """Rows 0, 0, 3, 3 of two pictures: deviations add up to -3 and 3, so the variance is 18 / 16 * 2 / 1."""
    estimate = of_mean(np.array([0.0, 0.0, 3.0, 3.0]), np.array([0, 0, 1, 1]))
    assert estimate.high == pytest.approx(1.5 + stats.t.ppf(0.975, 1) * sqrt(18 / 16 * 2))
    twice = of_mean(np.array([0.0, 3.0]), np.array([0, 1]))
    assert (twice.low, twice.high) == pytest.approx((estimate.low, estimate.high))


def test_change_of_the_same_pictures_is_paired() -> None:
    before, after = np.array([1.0, 5.0, 9.0]), np.array([2.0, 7.0, 12.0])
    estimate = of_change(before, np.arange(3), after, np.arange(3))
    low, high = stats.t.interval(0.95, 2, loc=2, scale=stats.sem(after - before))
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((2, low, high))


def test_change_between_other_pictures_adds_their_variances() -> None:
    before, after = np.array([1.0, 5.0, 9.0]), np.array([2.0, 7.0, 12.0])
    estimate = of_change(before, np.arange(3), after, np.arange(3, 6))
    # Sums of squared deviations 32 and 50, over 3 * 3; six pictures: 6 / 5.
    assert estimate.high == pytest.approx(2 + stats.t.ppf(0.975, 5) * sqrt(82 / 9 * 6 / 5))


def test_what_has_no_interval_says_why() -> None:
    assert of_subsamples([1.0]) == Estimate(1.0, reason=TOO_SMALL)
    assert of_subsamples([1.0, None]) == Estimate(None, reason=NO_VALUE)
    assert of_subsamples([0.1, 0.1, 0.1]).reason == NO_SPREAD
    assert of_mean(np.array([]), np.array([], dtype=int)) == Estimate(None, reason=NO_ROWS)
    assert of_mean(np.array([1.0, 2.0]), np.array([0, 0])) == Estimate(1.5, reason=ONE_IMAGE)
    assert of_mean(np.array([0.1, 0.1, 0.1]), np.arange(3)).reason == NO_SPREAD
    assert of_change(np.array([1.0]), np.array([0]), np.array([]), np.array([], dtype=int)).reason == NO_ROWS


def test_facts_and_bounds() -> None:
    assert Estimate(1.0, -1.0, 3.0).within(0, 100).to_facts() == {"value": 1.0, "low": 0, "high": 3.0}
    assert Estimate(None, reason=NO_ROWS).within(0, 1).to_facts() == {
        "value": None, "low": None, "high": None, "reason": NO_ROWS
    }  # fmt: skip


def test_drawing_captions_with_replacement_lowers_diversity() -> None:
    """The whole interval of such a bootstrap lies below the value that it is about."""
    rng = np.random.default_rng(0)
    before, _ = coverage.SOURCES["zipf"].pair(rng, images=200)
    for name in ("distinct_1", "distinct_2"):
        estimate = coverage.bootstrapped(before, name, rng)
        assert estimate.high < estimate.value


@pytest.mark.slow
def test_intervals_hold_the_truth_and_the_bootstrap_with_replacement_does_not() -> None:
    """Rough bounds, as trials are few; `python -m recap.data.statistics.coverage` has more."""
    table = {
        str(row["measure"]): row
        for row in coverage.simulate(coverage.SOURCES["topics"], trials=20, naive_trials=6, seed=1)
    }
    counted = [
        row[side]
        for row in table.values()
        for side in ("before", "after", "change", "no change")
        if row[side] is not None
    ]
    assert 88 <= np.mean(counted) <= 99.5
    assert min(counted) >= 70
    assert all(table[name]["found"] >= 90 for name in ("words_mean", "mtld", "hdd", "distinct_1", "alignment"))
    assert table["distinct_1"]["bootstrap"] == table["distinct_2"]["bootstrap"] == 0
