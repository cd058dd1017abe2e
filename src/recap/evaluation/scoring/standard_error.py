"""Mean and its standard error when several questions share an image.

Miller, "Adding Error Bars to Evals" (2411.00640), section 2.2: questions about one image are not independent
draws, so deviations are summed within an image before they are squared.
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence


def mean_and_standard_error(values: Sequence[float], clusters: Sequence[Hashable]) -> tuple[float, float | None]:
    """Mean of `values` and its clustered standard error, sqrt(sum over clusters of (sum of deviations)^2) / n.

    Args:
        values: One per question, at least one.
        clusters: What each question shares with others, in our use the image.

    Returns:
        Both in the unit of `values`. The error is None when there is one cluster only: nothing can be said then.
    """
    if len(values) != len(clusters) or not values:
        raise ValueError(f"expected values and as many clusters, at least one, found {len(values)} and {len(clusters)}")
    mean = math.fsum(values) / len(values)
    deviations: dict[Hashable, float] = defaultdict(float)
    for value, cluster in zip(values, clusters, strict=True):
        deviations[cluster] += value - mean
    if len(deviations) == 1:
        return mean, None
    return mean, math.sqrt(math.fsum(deviation**2 for deviation in deviations.values())) / len(values)
