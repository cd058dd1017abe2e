"""Axes with round numbers."""

import math


def round_axis(low: float, high: float) -> tuple[float, float, list[float]]:
    """Round limits around the values, and three to six round ticks between them."""
    spread = high - low or abs(high) or 1.0
    step = 10 ** math.floor(math.log10(spread))
    step *= next(factor for factor in (0.2, 0.5, 1, 2) if spread / (factor * step) <= 5)
    start, end = math.floor(low / step), math.ceil(high / step)
    if start == end:
        end += 1
    return start * step, end * step, [index * step for index in range(start, end + 1)]
