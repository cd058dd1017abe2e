"""Which row trains when: a fixed number of samples, whatever the size of the corpus.

Fixed compute, varied data (DataComp, arXiv 2304.14108): every recipe trains on `steps * samples_per_step` samples. A
small corpus is repeated, each pass in a new order; a large one is not finished.
"""

import numpy as np
from numpy.typing import NDArray

from recap.runtime.seeding import derive_seed


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


def exposure(order: NDArray[np.int64], rows: int) -> dict[str, float]:
    """What a run saw: `samples_seen`, `unique_samples`, `epochs` (samples seen per row)."""
    return {
        "rows": rows,
        "samples_seen": len(order),
        "unique_samples": len(np.unique(order)),
        "epochs": len(order) / rows,
    }
