"""Paired statistics: numbers worked by hand, scipy as a second opinion, and coverage by simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from recap.comparison.statistics import (
    POWER_FACTOR,
    bootstrap_means,
    cluster_totals,
    clustered_standard_error,
    compare_scores,
    holm,
    seed_spread,
    sign_test_floor,
    two_sided_p,
)


def column(*values):
    return np.array(values, dtype=float)[:, None]


def test_clustered_standard_error_by_hand():
    # Mean 0.25; deviations 0.75, -0.25 | -0.25, -0.25. Cluster sums 0.5 and -0.5: sqrt(0.25 + 0.25) / 4.
    found = clustered_standard_error(np.array([1.0, 0, 0, 0]), np.array([0, 0, 1, 1]))
    assert found == pytest.approx(math.sqrt(0.5) / 4)


def test_clusters_of_one_give_the_plain_standard_error():
    values = np.array([0.3, 1, 0, 0.6, 0.9, 0])
    plain = np.std(values, ddof=0) / math.sqrt(len(values))
    assert clustered_standard_error(values, np.arange(6)) == pytest.approx(plain)


def test_duplicating_every_question_of_an_image_adds_no_information():
    values = np.array([0.3, 1, 0, 0.6])
    once = clustered_standard_error(values, np.arange(4))
    twice = clustered_standard_error(np.tile(values, 2), np.tile(np.arange(4), 2))
    assert twice == pytest.approx(once)


def test_bootstrap_agrees_with_scipy():
    rng = np.random.default_rng(1)
    values = rng.choice([-1.0, 0, 0.3, 1], size=300)
    ours = bootstrap_means(values, np.arange(300), np.random.default_rng(2), resamples=20_000)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=3).confidence_interval
    assert np.quantile(ours, [0.025, 0.975]) == pytest.approx([theirs.low, theirs.high], abs=0.005)
    assert np.std(ours) == pytest.approx(clustered_standard_error(values, np.arange(300)), rel=0.03)


def test_bootstrap_of_unequal_clusters_draws_whole_clusters():
    # One image with three questions that all improved, one with one that did not: a resample has mean 0, 3/4 or 1.
    draws = bootstrap_means(np.array([1.0, 1, 1, 0]), np.array([0, 0, 0, 1]), np.random.default_rng(0))
    values, counts = np.unique(draws, return_counts=True)
    assert values.tolist() == [0, 0.75, 1]
    assert counts / len(draws) == pytest.approx([0.25, 0.5, 0.25], abs=0.02)


def test_p_by_hand():
    assert two_sided_p(np.array([1.0] * 99)) == pytest.approx(2 / 100)
    assert two_sided_p(np.array([-1.0, 1, 1, 1])) == pytest.approx(2 * 2 / 5)
    assert two_sided_p(np.zeros(10)) == 1
    assert two_sided_p(np.ones(999), floor=0.25) == 0.25


def test_three_improved_images_prove_nothing():
    found = compare_scores(column(0, 0, 0), column(1, 1, 1), np.arange(3))
    assert found.p == stats.binomtest(3, 3).pvalue == 0.25
    assert sign_test_floor(np.zeros(3), np.arange(3)) == 1


def test_holm_by_hand():
    # Sorted 0.01 * 4, 0.02 * 3, 0.03 * 2 (raised to the 0.06 before it), 0.5 * 1.
    assert holm([0.5, 0.01, 0.03, 0.02]) == pytest.approx([0.5, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([]) == []


def test_differences_and_detectable_by_hand():
    found = compare_scores(column(0, 0, 1, 0), column(1, 0, 1, 0), np.array([0, 0, 1, 1]))
    assert (found.questions, found.images, found.a, found.b, found.difference) == (4, 2, 25, 50, 25)
    assert found.discordant == 25
    assert found.standard_error == pytest.approx(100 * math.sqrt(0.5) / 4)
    assert found.minimum_detectable == pytest.approx(POWER_FACTOR * found.standard_error)
    assert found.seed_standard_error is None
    assert pytest.approx(2.8016, abs=1e-4) == POWER_FACTOR == stats.norm.ppf(0.975) + stats.norm.ppf(0.8)


def test_equal_runs_differ_by_nothing():
    scores = column(0, 0.3, 1, 0.6)
    found = compare_scores(scores, scores, np.array([0, 0, 1, 1]))
    assert (found.difference, found.low, found.high, found.p, found.discordant) == (0, 0, 0, 1, 0)


def test_seed_spread_by_hand():
    a, b = np.array([0.1, 0.3]), np.array([0.5, 0.6])
    # Paired differences 0.4 and 0.3: standard deviation 0.1 / sqrt(2), divided by sqrt(2).
    assert seed_spread(a, b, paired=True) == pytest.approx((0.05, 1))
    # Variances 0.02 and 0.005, halved: 0.0125 in all. Welch: 0.0125^2 / (0.01^2 + 0.0025^2).
    assert seed_spread(a, b, paired=False) == pytest.approx((math.sqrt(0.0125), 0.0125**2 / (0.01**2 + 0.0025**2)))
    assert seed_spread(a, a, paired=False) == pytest.approx((math.sqrt(0.02), 2))
    assert seed_spread(np.array([0.5, 0.5]), np.array([0.4, 0.4]), paired=False) == (0, 2)


def test_seeds_widen_the_interval():
    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 2, size=(400, 1)).astype(float) for _ in range(2))
    clusters = np.arange(400) // 2
    one = compare_scores(a, b, clusters)
    shift = (np.arange(400) < 120)[:, None]
    several = compare_scores(
        np.hstack([a, a, a]), np.hstack([b, np.where(shift, 1.0, b), np.where(shift, 0.0, b)]), clusters
    )
    assert several.seed_standard_error > 0
    assert several.high - several.low > 2 * (one.high - one.low)


def test_one_seed_against_several_is_refused():
    with pytest.raises(ValueError, match="one seed on both sides"):
        compare_scores(np.zeros((2, 1)), np.zeros((2, 3)), np.arange(2))


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_order_of_rows_and_numbering_of_images_change_nothing(data):
    n = data.draw(st.integers(1, 40))
    score = st.sampled_from([0, 0.3, 0.6, 0.9, 1, 1 / 3])
    a, b = (np.array(data.draw(st.lists(score, min_size=n, max_size=n)), dtype=float)[:, None] for _ in range(2))
    images = data.draw(st.lists(st.sampled_from("abcdef"), min_size=n, max_size=n))
    order = np.array(data.draw(st.permutations(range(n))))
    clusters = np.unique(images, return_inverse=True)[1]
    renumbered = clusters.max() - clusters
    found = compare_scores(a, b, clusters, resamples=200)
    assert compare_scores(a[order], b[order], clusters[order], resamples=200) == found
    assert compare_scores(a[order], b[order], renumbered[order], resamples=200) == found


@given(st.lists(st.tuples(st.sampled_from([-1.0, 0.0, 0.3]), st.integers(0, 5)), min_size=1, max_size=30))
@settings(max_examples=30, deadline=None)
def test_cluster_totals_are_sums(rows):
    values = np.array([value for value, _ in rows])
    clusters = np.unique([cluster for _, cluster in rows], return_inverse=True)[1]
    sums, sizes = cluster_totals(values, clusters)
    assert sums == pytest.approx([values[clusters == c].sum() for c in range(clusters.max() + 1)])
    assert sizes.tolist() == [(clusters == c).sum() for c in range(clusters.max() + 1)]


def coverage(simulate, truth, trials):
    hits = 0
    for trial in range(trials):
        found = compare_scores(*simulate(np.random.default_rng(trial)), resamples=1000, seed=trial)
        hits += found.low <= 100 * truth <= found.high
    return hits / trials


def test_interval_covers_the_truth_with_several_questions_an_image():
    def simulate(rng):
        effect = np.repeat(rng.normal(0.3, 0.35, size=80), 4)
        a = rng.random(320) < 0.4
        b = rng.random(320) < np.clip(0.4 + effect, 0, 1)
        return a[:, None].astype(float), b[:, None].astype(float), np.repeat(np.arange(80), 4)

    draws = np.random.default_rng(0).normal(0.3, 0.35, size=1_000_000)
    truth = np.clip(0.4 + draws, 0, 1).mean() - 0.4
    assert 0.92 <= coverage(simulate, truth, 400) <= 0.98


@pytest.mark.parametrize("seeds", [2, 4])
def test_interval_covers_the_truth_when_seeds_vary(seeds):
    def simulate(rng):
        difficulty = rng.random((200, 1))
        luck_a, luck_b = rng.normal(0, 0.06, size=(2, seeds))
        a = rng.random((200, seeds)) < np.clip(0.3 + 0.4 * difficulty + luck_a, 0, 1)
        b = rng.random((200, seeds)) < np.clip(0.3 + 0.4 * difficulty + 0.05 + luck_b, 0, 1)
        return a.astype(float), b.astype(float), np.arange(200)

    assert coverage(simulate, 0.05, 300) >= 0.93
