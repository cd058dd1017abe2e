"""The error of a difference and what follows from it: numbers worked by hand, and scipy as a second opinion."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from recap.comparison.statistics import MIN_CHANGED_IMAGES, compare_scores, detectable


def column(*values):
    return np.array(values, dtype=float)[:, None]


@pytest.fixture
def three_questions():
    """Two runs a side on three images, one question each, so that every part of the error has a round value."""
    a = np.array([[1, 0], [0, 0], [1, 1]], dtype=float)
    b = np.array([[1, 1], [1, 0], [1, 1]], dtype=float)
    return compare_scores(a, b, np.arange(3))


@pytest.fixture
def steady_runs():
    """Twelve images; A's three runs answer 0, 30 and 60 % of every question, B's answer all: only seeds vary."""
    return compare_scores(np.tile([0, 0.3, 0.6], (12, 1)), np.ones((12, 3)), np.arange(12), comparisons=5)


@pytest.fixture
def steady_seeds():
    """Twenty images; seeds answer alike, and B answers twelve of those that A misses: only questions vary."""
    a = np.tile((np.arange(20) < 4)[:, None], (1, 3)).astype(float)
    b = np.tile((np.arange(20) < 16)[:, None], (1, 3)).astype(float)
    return compare_scores(a, b, np.arange(20))


def test_items_by_hand(three_questions):
    # Differences 50, 50, 0; deviations 50/3, 50/3, -100/3, squared in all 15000/9; over 3^2, times 3/2.
    assert three_questions.difference == pytest.approx(100 / 3)
    assert three_questions.variances.items == pytest.approx(15000 / 9 / 9 * 3 / 2)


def test_seeds_by_hand(three_questions):
    # Means of A's runs 200/3 and 100/3: variance (100/3)^2 / 2, halved for two runs. B's 100 and 200/3: the same.
    assert three_questions.variances.seeds == pytest.approx([(100 / 3) ** 2 / 4] * 2)


def test_residual_by_hand(three_questions):
    # A's runs differ in question 1 alone, by +-50 about its mean. Less the run's mean of +-50/3: 100/3, -50/3, -50/3,
    # squared in all 15000/9 a run. Over 3^2, times 3/2, two runs, over 2 - 1 and over 2. B likewise in question 2.
    assert three_questions.variances.residual == pytest.approx([15000 / 9 / 9 * 3 / 2] * 2)
    # What the runs' means vary by is nothing but that noise, which the items hold.
    assert three_questions.variances.beyond_residual == pytest.approx(0, abs=1e-9)
    assert three_questions.variances.total == pytest.approx(three_questions.variances.items)
    # 1 / (1/2 + 1 + 1) would be 0.4 degrees of freedom; the least certain part has 1.
    assert three_questions.variances.degrees_of_freedom == 1


def test_questions_of_one_image_are_one_cluster():
    a, b = np.zeros((4, 1)), column(1, 1, 0, 0)
    # Two images: deviations sum to 100 and -100: 20000 / 16, times 2 / 1. As four images: 10000 / 16, times 4 / 3.
    assert compare_scores(a, b, np.array([0, 0, 1, 1])).variances.items == pytest.approx(2500)
    assert compare_scores(a, b, np.arange(4)).variances.items == pytest.approx(10000 / 16 * 4 / 3)


def test_interval_and_p_of_seeds_by_hand(steady_runs):
    # Runs 0, 30, 60: variance 900, over 3 runs 300; B's 0. Two degrees of freedom, whose t has a closed form.
    assert (steady_runs.a, steady_runs.b, steady_runs.difference) == pytest.approx((30, 100, 70))
    assert steady_runs.variances.items == pytest.approx(0)
    assert steady_runs.variances.standard_error == pytest.approx(math.sqrt(300))
    assert steady_runs.variances.degrees_of_freedom == pytest.approx(2)
    t = 70 / math.sqrt(300)
    assert steady_runs.p == pytest.approx(1 - t / math.sqrt(2 + t**2))
    half = 0.95 * math.sqrt(2 / (1 - 0.95**2)) * math.sqrt(300)
    assert steady_runs.interval == pytest.approx((70 - half, 70 + half))
    assert half == pytest.approx(74.52, abs=0.01)
    assert steady_runs.interval_over == "questions and seeds"


def test_detectable_difference_allows_for_seeds(steady_runs):
    # The noncentral t with 2 degrees of freedom that exceeds t(.995) four times in five.
    threshold = stats.t.ppf(1 - 0.05 / 5 / 2, 2)
    shift = steady_runs.detectable / math.sqrt(300)
    assert stats.nct.sf(threshold, 2, shift) == pytest.approx(0.8, abs=1e-6)
    assert steady_runs.detectable == pytest.approx(219.6, abs=0.1)


def test_interval_p_and_detectable_of_questions_by_hand(steady_seeds):
    # Differences: 12 of 100 and 8 of 0; mean 60, deviations 12 * 1600 + 8 * 3600 = 48000; over 400, times 20 / 19.
    variance = 48000 / 400 * 20 / 19
    assert steady_seeds.difference == pytest.approx(60)
    assert steady_seeds.changed_images == 12
    assert steady_seeds.variances.total == pytest.approx(variance)
    assert steady_seeds.variances.degrees_of_freedom == pytest.approx(19)
    # One question an image and one side's answers in the other's: the plain paired t test.
    values = np.repeat([0.0, 100.0], [8, 12])
    assert steady_seeds.p == pytest.approx(stats.ttest_1samp(values, 0).pvalue)
    assert steady_seeds.interval == pytest.approx(tuple(stats.ttest_1samp(values, 0).confidence_interval()))
    shift = steady_seeds.detectable / math.sqrt(variance)
    assert stats.nct.sf(stats.t.ppf(0.975, 19), 19, shift) == pytest.approx(0.8, abs=1e-6)


def test_more_comparisons_raise_what_is_detectable(steady_seeds):
    five = detectable(steady_seeds.variances, 5)
    shift = five / steady_seeds.variances.standard_error
    assert stats.nct.sf(stats.t.ppf(0.995, 19), 19, shift) == pytest.approx(0.8, abs=1e-6)
    assert five > steady_seeds.detectable


def test_degrees_of_freedom_by_hand():
    # Items 12.5 with 12 - 1; seeds 300 of A and 75 of B with 2 each, no residual.
    a = np.tile([0, 0.3, 0.6], (12, 1))
    b = np.tile([0.4, 0.55, 0.7], (12, 1)) + np.where(np.arange(12) < 6, 0.1, -0.1)[:, None]
    parts = compare_scores(a, b, np.arange(12)).variances
    items = 100 / 12 * 12 / 11
    assert parts.items == pytest.approx(items)
    assert parts.seeds == pytest.approx((300, 75))
    assert parts.residual == pytest.approx((0, 0), abs=1e-9)
    expected = (items + 375) ** 2 / (items**2 / 11 + 300**2 / 2 + 75**2 / 2)
    assert parts.degrees_of_freedom == pytest.approx(expected)


def test_unequal_sides_are_as_certain_as_the_one_with_fewer_runs():
    # Variances 900 over 3 runs, and 225 / 2 (deviations of +-15 and 0, 0 about 45) over 4: each counts with 3 - 1.
    a, b = np.tile([0, 0.3, 0.6], (12, 1)), np.tile([0.3, 0.6, 0.45, 0.45], (12, 1))
    parts = compare_scores(a, b, np.arange(12)).variances
    assert parts.items == pytest.approx(0, abs=1e-9)
    assert parts.seeds == pytest.approx((300, 37.5))
    assert parts.degrees_of_freedom == pytest.approx(337.5**2 / (300**2 / 2 + 37.5**2 / 2))


def test_without_question_noise_it_is_welchs_test():
    a, b = [0.30, 0.34, 0.41, 0.33], [0.45, 0.52, 0.46, 0.47]
    found = compare_scores(np.tile(a, (15, 1)), np.tile(b, (15, 1)), np.arange(15))
    welch = stats.ttest_ind(b, a, equal_var=False)
    assert found.p == pytest.approx(welch.pvalue)
    assert found.interval == pytest.approx(tuple(100 * np.array(welch.confidence_interval())))


def test_one_seed_a_side_has_an_interval_over_questions_and_no_p():
    a, b = column(*[0] * 20), column(*[1] * 12, *[0] * 8)
    found = compare_scores(a, b, np.arange(20))
    assert found.interval == pytest.approx(tuple(stats.ttest_1samp(100 * b[:, 0], 0).confidence_interval()))
    assert found.interval_over == "questions of these two runs"
    assert (found.p, found.detectable, found.judged) == (None, None, False)


@pytest.mark.parametrize(("runs_a", "runs_b"), [(2, 2), (2, 3), (3, 2), (1, 3), (5, 1)])
def test_fewer_than_three_seeds_on_a_side_are_not_judged(runs_a, runs_b):
    rng = np.random.default_rng(0)
    a, b = rng.random((40, runs_a)), 0.5 + 0.5 * rng.random((40, runs_b))
    found = compare_scores(a, b, np.arange(40))
    assert (found.p, found.detectable, found.judged) == (None, None, False)
    assert found.interval_over == ("questions and seeds" if min(runs_a, runs_b) > 1 else "questions of these runs")


def test_few_changed_images_have_no_interval():
    a = np.zeros((30, 3))
    b = np.tile((np.arange(30) < 2 * (MIN_CHANGED_IMAGES - 1))[:, None], (1, 3)).astype(float)
    found = compare_scores(a, b, np.arange(30) // 2)
    assert found.changed_images == 9
    assert (found.interval, found.p, found.detectable) == (None, None, None)
    assert found.no_interval == "9 images changed, fewer than 10: an interval would be too narrow"
    one_more = compare_scores(a, np.where(np.arange(30)[:, None] == 18, 1.0, b), np.arange(30) // 2)
    assert (one_more.changed_images, one_more.no_interval) == (10, None)


def test_changes_that_cancel_within_an_image_are_no_change():
    # Thirds that sum to 0 only nearly, in floating point.
    a, b = column(*[0, 1 / 3, 1] * 10), column(*[1 / 3, 0, 1] * 10)
    found = compare_scores(a, b, np.arange(30) // 3)
    assert (found.changed_images, found.no_interval is None) == (0, False)


@pytest.mark.parametrize(("a", "b"), [(0, 1), (1 / 3, 2 / 3)])
def test_a_difference_without_any_spread_has_no_interval(a, b):
    found = compare_scores(np.full((12, 3), a), np.full((12, 3), b), np.arange(12))
    assert found.no_interval == "every image changed alike: no spread to judge by"
    assert (found.difference, found.interval, found.p) == (pytest.approx(100 * (b - a)), None, None)
    b = np.full((12, 3), b)
    b[0, 0] = a
    assert compare_scores(np.full((12, 3), a), b, np.arange(12)).interval


def test_scores_of_other_questions_are_refused():
    with pytest.raises(ValueError, match="same N questions"):
        compare_scores(np.zeros((2, 1)), np.zeros((3, 1)), np.arange(2))


def draw_scores(data):
    n, runs = data.draw(st.integers(12, 40)), data.draw(st.integers(1, 4))
    score = st.sampled_from([0, 0.3, 0.6, 0.9, 1, 1 / 3])
    rows = st.lists(st.lists(score, min_size=runs, max_size=runs), min_size=n, max_size=n)
    images = data.draw(st.lists(st.integers(0, 20), min_size=n, max_size=n))
    a, b = (np.array(data.draw(rows), dtype=float) for _ in range(2))
    return a, b, np.unique(images, return_inverse=True)[1]


def assert_same(one, other):
    for name in ("questions", "images", "changed_images", "no_interval"):
        assert getattr(one, name) == getattr(other, name)
    for name in ("a", "b", "difference"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-9)
    # A part that is 0 but for rounding is no more certain than its rounding.
    assert one.variances.total == pytest.approx(other.variances.total, abs=1e-9)
    assert one.variances.degrees_of_freedom == pytest.approx(other.variances.degrees_of_freedom, rel=1e-6)


@given(st.data())
@settings(max_examples=50)
def test_order_of_questions_and_of_runs_and_numbering_of_images_change_nothing(data):
    a, b, clusters = draw_scores(data)
    questions = np.array(data.draw(st.permutations(range(len(a)))))
    runs_a, runs_b = (np.array(data.draw(st.permutations(range(side.shape[1])))) for side in (a, b))
    found = compare_scores(a, b, clusters)
    assert_same(compare_scores(a[:, runs_a], b[:, runs_b], clusters), found)
    renumbered = clusters.max() - clusters
    assert_same(compare_scores(a[questions], b[questions], renumbered[questions]), found)


@given(st.data())
@settings(max_examples=50)
def test_swapping_the_sides_only_turns_the_sign(data):
    a, b, clusters = draw_scores(data)
    there, back = compare_scores(a, b, clusters), compare_scores(b, a, clusters)
    assert back.difference == pytest.approx(-there.difference)
    assert back.variances.total == pytest.approx(there.variances.total)
    assert back.changed_images == there.changed_images
