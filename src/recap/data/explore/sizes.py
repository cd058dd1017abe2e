"""Statistics of a corpus's pictures: sizes, formats, modes."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy
import pandas

from recap.data.statistics.text import percent

SMALL_BELOW_PX = 224
"""An image is small when its width or height is below this; `image_shape_filter` of the recipes agrees."""

LARGE_ABOVE_PX = 512
"""An image is large when its longer side exceeds this (and it is not small)."""


def size_classes(pictures: pandas.DataFrame) -> pandas.Series:
    """small, medium or large, by columns `width` and `height` in pixels."""
    sides = pictures[["width", "height"]]
    small, large = sides.min(axis=1) < SMALL_BELOW_PX, sides.max(axis=1) > LARGE_ABOVE_PX
    return pandas.Series(numpy.select([small, large], ["small", "large"], "medium"), index=pictures.index)


def describe_images(pictures: pandas.DataFrame) -> dict[str, Any]:
    """Summarise the pictures of a corpus.

    Args:
        pictures: Each once: `width` and `height` in pixels as shown, `format`, `mode`.

    Returns:
        Their number, mean sides in pixels and percentages (0-100 of the pictures); None where there is none.
    """
    count = len(pictures)
    classes = Counter(size_classes(pictures))
    return {
        "images": count,
        "width_mean_px": float(pictures["width"].mean()) if count else None,
        "height_mean_px": float(pictures["height"].mean()) if count else None,
        **{f"{name}_percent": percent(classes[name], count) for name in ("small", "medium", "large")},
        "formats": shares(pictures["format"].tolist()),
        "modes": shares(pictures["mode"].tolist()),
    }


def shares(values: Sequence[str]) -> dict[str, float]:
    """Percentage (0-100) of each value, the most frequent first, equals in alphabetical order."""
    counts = sorted(Counter(values).items(), key=lambda item: (-item[1], item[0]))
    return {value: 100 * count / len(values) for value, count in counts}
