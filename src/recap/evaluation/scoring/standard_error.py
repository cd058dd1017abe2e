"""Mean and its standard error when several questions share an image.

Miller, "Adding Error Bars to Evals" (2411.00640), section 2.2: questions about one image are not independent
draws, so deviations are summed within an image before they are squared.
"""

import math
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def clustered_variance(values: Floats, clusters: Ints) -> float:
    """Variance of the mean: the sum over clusters of (sum of deviations)^2, over n^2.

    Args:
        values: Shape (N,), one per question, N at least 1.
        clusters: Shape (N,), the image of each question, numbered from 0.

    Returns:
        In the square of the values' unit; 0 when there is one cluster only, where nothing is known.
    """
    sums = np.bincount(clusters, weights=values - values.mean())
    return float(sums @ sums) / len(values) ** 2


def mean_and_standard_error(values: Sequence[float], clusters: Sequence[Hashable]) -> tuple[float, float | None]:
    """Mean of `values` and its clustered standard error, the square root of `clustered_variance`.

    Args:
        values: One per question, at least one.
        clusters: What each question shares with others, in our use the image.

    Returns:
        Both in the unit of `values`. The error is None when there is one cluster only: nothing can be said then.
    """
    if len(values) != len(clusters) or not values:
        raise ValueError(f"expected values and as many clusters, at least one, found {len(values)} and {len(clusters)}")
    mean = math.fsum(values) / len(values)
    numbers = {cluster: number for number, cluster in enumerate(dict.fromkeys(clusters))}
    if len(numbers) == 1:
        return mean, None
    numbered = np.array([numbers[cluster] for cluster in clusters], dtype=np.int64)
    return mean, math.sqrt(clustered_variance(np.array(values, dtype=np.float64), numbered))
