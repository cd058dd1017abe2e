"""Clustered standard errors, worked by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recap.evaluation.scoring.standard_error import mean_and_standard_error


def test_questions_about_one_image_are_summed_before_squaring() -> None:
    # Deviations from 0.5: image a +0.5 +0.5, b -0.5, c -0.5. Sums 1, -0.5, -0.5: squares 1 + 0.25 + 0.25.
    mean, error = mean_and_standard_error([1.0, 1.0, 0.0, 0.0], ["a", "a", "b", "c"])
    assert (mean, error) == (0.5, pytest.approx(math.sqrt(1.5) / 4))


def test_with_an_image_each_it_is_the_plain_standard_error() -> None:
    assert mean_and_standard_error([1.0, 0.0, 0.0, 1.0], [1, 2, 3, 4]) == (0.5, pytest.approx(0.25))


def test_one_cluster_says_nothing_about_the_error() -> None:
    assert mean_and_standard_error([1.0, 0.0], ["a", "a"]) == (0.5, None)


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 5)), min_size=2, max_size=30))
def test_it_equals_the_double_sum_over_pairs_of_a_cluster(items: list[tuple[float, int]]) -> None:
    values, clusters = [value for value, _ in items], [cluster for _, cluster in items]
    mean, error = mean_and_standard_error(values, clusters)
    if len(set(clusters)) == 1:
        assert error is None
        return
    pairs = sum((v - mean) * (w - mean) for v, c in items for w, d in items if c == d)
    assert error == pytest.approx(math.sqrt(max(pairs, 0.0)) / len(items), abs=1e-7)


def test_values_and_clusters_must_pair() -> None:
    with pytest.raises(ValueError, match="found 2 and 1"):
        mean_and_standard_error([1.0, 0.0], ["a"])
