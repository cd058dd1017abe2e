"""Stability metrics against numbers worked by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recap.training.stability import detrended_std, final_mean, spike_score, spike_window, stability


def test_window_is_a_tenth_of_the_run_within_bounds() -> None:
    assert [spike_window(steps) for steps in (10, 240, 781, 5000, 20_000)] == [20, 24, 78, 500, 1000]


def test_a_value_seven_deviations_away_is_a_spike() -> None:
    # The window 0, 2, 0, 2 has mean 1 and standard deviation sqrt(4 / 3): seven of them are 8.083.
    window = [0.0, 2.0, 0.0, 2.0]
    assert spike_score([*window, 9.09], 4) == 100.0
    assert spike_score([*window, 9.08], 4) == 0.0
    assert spike_score([*window, -7.09], 4) == 100.0


def test_score_is_a_percentage_of_the_values_that_have_a_window() -> None:
    # Scored: 0 against [0, 2, 0, 2]; 100 against [2, 0, 2, 0]; 1 against [0, 2, 0, 100], mean 25.5: one spike of three.
    assert spike_score([0.0, 2.0, 0.0, 2.0, 0.0, 100.0, 1.0], 4) == pytest.approx(100 / 3)


def test_values_that_are_not_finite_are_spikes_and_spoil_no_other() -> None:
    series = [0.0, 2.0, 0.0, 2.0, math.nan, 0.0, 2.0, 0.0, 2.0, 1.0]
    # The four values after the NaN have it in their window and are not scored.
    assert spike_score(series, 4) == 50.0


def test_constant_window() -> None:
    assert spike_score([1.0, 1.0, 1.0, 1.0], 3) == 0.0
    assert spike_score([1.0, 1.0, 1.0, 1.1], 3) == 100.0


def test_short_series_has_no_score() -> None:
    assert spike_score([1.0, 2.0], 2) is None


def test_final_mean_is_of_the_last_tenth_rounded_up() -> None:
    assert final_mean([float(value) for value in range(1, 21)]) == 19.5
    assert final_mean([float(value) for value in range(1, 12)]) == 10.5
    assert final_mean([3.0]) == 3.0


def test_detrended_std_ignores_a_straight_descent() -> None:
    # Inside, the median of a line is the line; at each end it is half a step off (window 3: two values).
    assert detrended_std([4.0, 3.0, 2.0, 1.0], 3) == pytest.approx((0.5 / 3) ** 0.5)


def test_detrended_std_of_one_outlier() -> None:
    assert detrended_std([0.0, 0.0, 3.0, 0.0, 0.0], 3) == pytest.approx((7.2 / 4) ** 0.5)


def test_a_limit_of_0_clips_nothing() -> None:
    assert stability([2.0, 1.0], [0.5, 2.0], max_grad_norm=0.0)["clipped_steps_percent"] == 0.0


def test_all_metrics_of_a_short_run() -> None:
    found = stability([2.0, 1.0], [0.5, 2.0], max_grad_norm=1.0)
    assert found == {
        "loss_first": 2.0,
        "loss_final": 1.0,
        "loss_detrended_std": 0.5**0.5,  # half a step off at both ends
        "loss_spike_score": None,
        "grad_norm_spike_score": None,
        "spike_window_steps": 20,
        "nonfinite_steps": 0,
        "grad_norm_max": 2.0,
        "clipped_steps_percent": 50.0,
    }


def test_overflowed_gradients_are_counted() -> None:
    found = stability([2.0, 1.0, 1.0], [math.inf, 2.0, 1.0], max_grad_norm=1.0)
    assert (found["nonfinite_steps"], found["grad_norm_max"], found["clipped_steps_percent"]) == (1, 2.0, 50.0)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=60), st.integers(2, 30))
def test_scores_are_percentages_and_shifting_changes_nothing(series: list[float], window: int) -> None:
    score = spike_score(series, window)
    assert (score is None) == (len(series) <= window)
    assert score is None or 0 <= score <= 100
    assert detrended_std(series, window) == pytest.approx(detrended_std([x + 8 for x in series], window), abs=1e-6)
