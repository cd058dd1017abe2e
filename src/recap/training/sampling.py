"""Which row trains when: a fixed number of samples, whatever the size of the corpus.

Fixed compute, varied data (DataComp, arXiv 2304.14108): every recipe trains on `steps * samples_per_step` samples. A
small corpus is repeated, each pass in a new order; a large one is not finished.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow
from numpy.typing import NDArray
from pyarrow import parquet

from recap.runtime.seeding import derive_seed
from recap.training.dataset import Example


def row_order(rows: int, samples: int, seed: int) -> NDArray[np.int64]:
    """The row that each sample of the run is taken from.

    Every pass is a permutation of all rows, seeded by (seed, pass), so the order depends neither on the number of
    workers or ranks nor on where a run was interrupted.

    Args:
        rows: Size of the corpus, at least 1.
        samples: Samples that the run trains on.
        seed: The run's seed.

    Returns:
        Row indices, shape (samples,).
    """
    passes = -(-samples // rows)
    orders = [
        np.random.default_rng(derive_seed(seed, "data order", number)).permutation(rows) for number in range(passes)
    ]
    return np.concatenate(orders)[:samples].astype(np.int64)


def group_by_modality_length(
    order: NDArray[np.int64], examples: Sequence[Example], samples_per_step: int
) -> NDArray[np.int64]:
    """The same samples, dealt so that a step's are all pictured or all text alone, the longest first.

    As the original does it (LengthGroupedSampler, mgm/train/llava_trainer.py@769820c): micro-batches cut from such a
    step hold samples of like length, so little of them is padding, and no process waits for another's pictures. Each
    kind fills steps of its own in the order dealt, and a step comes when its last sample does. What fills none at the
    end makes one mixed step. Nothing depends on how a machine cuts a step.

    Args:
        order: The rows dealt, shape (steps * samples_per_step,).
        examples: All rows.
        samples_per_step: Samples of one optimizer step.

    Returns:
        Row indices, shape (steps * samples_per_step,).
    """
    pictured = np.array([example.image is not None for example in examples])
    # The original counts words, which a language without blanks has few of.
    lengths = np.array([sum(len(turn["value"]) for turn in example.conversations) for example in examples])
    steps: list[NDArray[np.int64]] = []
    left: list[NDArray[np.int64]] = []
    for kind in (True, False):
        places = np.flatnonzero(pictured[order] == kind)
        whole = len(places) - len(places) % samples_per_step
        steps += list(places[:whole].reshape(-1, samples_per_step))
        left.append(places[whole:])
    steps.sort(key=lambda places: int(places[-1]))
    dealt = order[np.concatenate([*steps, *left])].reshape(-1, samples_per_step)
    return np.concatenate([step[np.lexsort((-lengths[step], ~pictured[step]))] for step in dealt])


def write_samples(
    path: str | Path, order: NDArray[np.int64], examples: Sequence[Example], samples_per_step: int
) -> None:
    """Which rows each step was made of, as a Parquet file: `step` from 1, `id` and `image` (null for text alone)."""
    rows = [examples[row] for row in order]
    columns = {
        "step": np.repeat(np.arange(1, len(order) // samples_per_step + 1, dtype=np.int32), samples_per_step),
        "id": pyarrow.array([example.id for example in rows], pyarrow.string()),
        "image": pyarrow.array([example.image for example in rows], pyarrow.string()),
    }
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.table(columns), path)


def exposure(order: NDArray[np.int64], rows: int) -> dict[str, float]:
    """What a run saw: `samples_seen`, `unique_samples`, `epochs` (samples seen per row)."""
    return {
        "rows": rows,
        "samples_seen": len(order),
        "unique_samples": len(np.unique(order)),
        "epochs": len(order) / rows,
    }
