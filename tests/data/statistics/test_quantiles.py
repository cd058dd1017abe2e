"""Quantiles by hand, and where there are none."""

from recap.data.statistics.quantiles import quantiles


def test_by_hand() -> None:
    assert quantiles([4, None, 1, float("nan"), 2, 3, 5], ("min", "p5", "median", "p75", "max")) == {
        "min": 1, "p5": 1.2, "median": 3, "p75": 4, "max": 5,
    }  # fmt: skip


def test_of_nothing() -> None:
    assert quantiles([None, float("nan")], ("median", "p99")) == {"median": None, "p99": None}
