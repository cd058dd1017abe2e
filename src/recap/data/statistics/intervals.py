"""95 % intervals: of an index from its values on disjoint subsamples, of a mean from its rows.

What they are about is the source that the corpus was drawn from: where the same number would lie for other pictures
of the same kind. A picture is what is drawn, with all rows that show it.

No interval comes from resampling with replacement: a caption that is drawn twice is a repetition that the corpus does
not have, so every index of diversity falls with the draw, and the interval lies beside the value
(`python -m recap.data.statistics.coverage` prints how far). Disjoint subsamples repeat nothing. An index on each is an
independent draw of that index at that size, and the mean of K of them has a t interval with K - 1 degrees of freedom:
the method of random groups (Wolter, Introduction to Variance Estimation, 2007, ch. 2).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CONFIDENCE = 0.95

TOO_SMALL = "the smaller corpus is too small to be cut into subsamples"
NO_VALUE = "fewer words than the measure needs"
NO_ROWS = "no row has a value"
ONE_IMAGE = "all rows show one picture"
NO_SPREAD = "the values do not differ: nothing tells by how much they might"


@dataclass(frozen=True)
class Estimate:
    """A number and its interval.

    Attributes:
        value: None where there is none.
        low, high: Ends of the interval; None where there is none.
        reason: Why there is no value, or no interval.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None

    def within(self, lowest: float, highest: float) -> "Estimate":
        """The same without the part of the interval where no value can lie."""
        if self.low is None or self.high is None:
            return self
        return replace(self, low=max(self.low, lowest), high=min(self.high, highest))

    def to_facts(self) -> dict[str, float | str | None]:
        facts: dict[str, float | str | None] = {"value": self.value, "low": self.low, "high": self.high}
        return facts | ({"reason": self.reason} if self.reason else {})


def of_subsamples(values: Sequence[float | None]) -> Estimate:
    """The mean of an index over disjoint subsamples.

    Args:
        values: Of the index, or of its change, on each subsample; None where it has none.
    """
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return Estimate(None, reason=NO_VALUE)
    mean = float(np.mean(known))
    if len(known) == 1:
        return Estimate(mean, reason=TOO_SMALL)
    return _around(mean, float(stats.sem(known)), len(known) - 1)


def of_mean(values: Floats, images: Ints) -> Estimate:
    """The mean of rows.

    Args:
        values: Shape (rows,).
        images: The picture of each row, numbered from 0, shape (rows,).
    """
    if not len(values):
        return Estimate(None, reason=NO_ROWS)
    return _from_shares(float(values.mean()), _shares(values, images, int(images.max()) + 1), images)


def of_change(before: Floats, images_before: Ints, after: Floats, images_after: Ints) -> Estimate:
    """The mean of the rows after, less that of the rows before, whose pictures may be the same ones, some, or others.

    Args:
        before, after: Shapes (rows before,), (rows after,).
        images_before, images_after: The picture of each row, numbered alike on both sides.
    """
    if not len(before) or not len(after):
        return Estimate(None, reason=NO_ROWS)
    images = np.concatenate([images_before, images_after])
    count = int(images.max()) + 1
    shares = _shares(after, images_after, count) - _shares(before, images_before, count)
    return _from_shares(float(after.mean() - before.mean()), shares, images)


def _shares(values: Floats, images: Ints, count: int) -> Floats:
    """By how much each picture moves the mean, shape (count,): its rows' deviations over the number of all rows."""
    return np.bincount(images, weights=values - values.mean(), minlength=count) / len(values)


def _from_shares(value: float, shares: Floats, images: Ints) -> Estimate:
    """From pictures' shares in a mean or in a difference of two; what a picture does on both sides is added first.

    Without replacement or not, this is what a bootstrap of pictures comes to for a mean, without its noise (Miller,
    arXiv 2411.00640, section 2.2, has it for questions about one image).
    """
    pictures = len(np.unique(images))
    if pictures == 1:
        return Estimate(value, reason=ONE_IMAGE)
    error = float(np.sqrt(shares @ shares * pictures / (pictures - 1)))
    return _around(value, error, pictures - 1)


def _around(value: float, error: float, degrees_of_freedom: int) -> Estimate:
    # Rounding leaves a little of a spread that is none.
    if error <= 1e-12 * max(1.0, abs(value)):
        return Estimate(value, reason=NO_SPREAD)
    low, high = stats.t.interval(CONFIDENCE, degrees_of_freedom, loc=value, scale=error)
    return Estimate(value, float(low), float(high))
