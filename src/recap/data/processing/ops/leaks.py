"""`leaked_image_filter`: pictures that a benchmark asks about leave the corpus."""

from functools import lru_cache
from typing import Any

from recap.data.processing.captions import value_for
from recap.data.processing.juicer import NON_STATS_FILTERS, OPERATORS, Filter
from recap.io import read_jsonl

Batch = dict[str, list[Any]]


@lru_cache(maxsize=1)
def read_leaked(path: str) -> dict[str, str]:
    """The benchmark of each leaked picture by its name, from JSON Lines of `{"image", "benchmark", ...}`."""
    return {row["image"]: row["benchmark"] for row in read_jsonl(path)}


@OPERATORS.register_module("leaked_image_filter")
@NON_STATS_FILTERS.register_module("leaked_image_filter")
class LeakedImageFilter(Filter):
    """Keeps the rows whose picture is in no benchmark.

    Args:
        leaked_path: JSON Lines of `{"image", "benchmark", ...}`, names as in corpus rows: `data/explore/leaked.jsonl`.
    """

    _batched_op = True

    def __init__(self, leaked_path: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.leaked_path = leaked_path
        read_leaked(leaked_path)  # fail now, and let forked workers inherit it

    def compute_stats_batched(self, samples: Batch) -> Batch:
        return samples

    def process_batched(self, samples: Batch) -> list[bool]:
        leaked = read_leaked(self.leaked_path)
        return [value_for(images[0], leaked) is None for images in samples[self.image_key]]
