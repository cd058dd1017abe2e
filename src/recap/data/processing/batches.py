"""What an operator does to a batch of rows, in whichever process: seeded, with pictures as files if it reads them."""

import random
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy

from recap.data.processing import juicer
from recap.data.processing.juicer import NON_STATS_FILTERS
from recap.data.processing.pictures import picture_files
from recap.runtime.seeding import derive_seed

METHODS = ("compute_stats", "compute_hash", "process")


class BatchMethod:
    """One of an operator's methods.

    Chance depends on the seed, the operator and the first row of the batch: not on how many workers there are, if
    batches are the same.

    Args:
        method: Bound to the operator, which Data-Juicer finds through `__wrapped__`.
        seed: Of this operator in this run.
        pictures: The folder of the corpus, of an operator that reads pictures; None of others.
    """

    def __init__(self, method: Callable[..., Any], seed: int, pictures: Path | None) -> None:
        self.__wrapped__ = method
        self.seed = seed
        self.pictures = pictures

    def __call__(self, samples: Any, *args: Any, **kwargs: Any) -> Any:
        first = samples["id"]
        seed_libraries(derive_seed(self.seed, first[0] if isinstance(first, list) else first))
        if self.pictures is None:
            return self.__wrapped__(samples, *args, **kwargs)
        with picture_files(self.pictures, _strings(samples["images"])) as files:
            samples["images"] = _renamed(samples["images"], files)
            result = self.__wrapped__(samples, *args, **kwargs)
            if isinstance(result, Mapping):
                names = {path: name for name, path in files.items()}
                images = _renamed(result["images"], names)
                if new := set(_strings(images)) - files.keys():
                    # The rows are compared too, but only behind the operator, which may be hours later.
                    raise ValueError(f"it made the picture {min(new)}; only captions may change")
                return {**result, "images": images}
            # Verdicts of a filter may be computed only now.
            return result if isinstance(result, bool | numpy.bool_) else list(result)


def prepare(op: Any, seed: int, pictures: Path | None) -> None:
    """Put `BatchMethod` around what Data-Juicer maps over rows."""
    for name in METHODS:
        if name == "process" and isinstance(op, juicer.Deduplicator | juicer.Selector):
            continue  # of all rows at once
        judges = name == "process" and isinstance(op, juicer.Filter) and op._name not in NON_STATS_FILTERS.modules
        if hasattr(op, name):
            # A filter's verdict looks at statistics alone.
            setattr(op, name, BatchMethod(getattr(op, name), seed, None if judges else pictures))


def seed_libraries(seed: int) -> None:
    """Seed what operators draw from; PyTorch where it is loaded."""
    random.seed(seed)
    numpy.random.seed(seed % 2**32)  # noqa: NPY002 - operators draw from the global generator
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


def _strings(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [text for item in value or [] for text in _strings(item)]


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return names.get(value, value)
    return [_renamed(item, names) for item in value] if isinstance(value, list) else value
