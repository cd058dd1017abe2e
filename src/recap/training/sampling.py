"""Which row trains when: a fixed number of samples, whatever the size of the corpus.

Fixed compute, varied data (DataComp, arXiv 2304.14108): every recipe trains on `steps * samples_per_step` samples. A
small corpus is repeated, each pass in a new order; a large one is not finished. Captions that are mixed in take the
place of conversations.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow
from numpy.typing import NDArray
from pyarrow import parquet

from recap.runtime.errors import UserError
from recap.runtime.seeding import derive_seed
from recap.training.dataset import Example, Source


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


def mixed_order(conversations: int, captions: int, samples: int, caption_share: float, seed: int) -> NDArray[np.int64]:
    """`row_order` of two sources, of which captions make up a share of the samples.

    `round(caption_share * samples)` samples are captions, spread evenly: of any number of consecutive samples their
    share is exact to within one sample. Each source has passes of its own, so that no row comes again before all of its
    source did, and the conversations that remain come in the order that they have without captions.

    Args:
        conversations: Rows of the first source, at least 1.
        captions: Rows of the second, at least 1.
        samples: Samples that the run trains on.
        caption_share: Between 0 and 1.
        seed: The run's seed.

    Returns:
        Row indices, shape (samples,); captions are counted on from `conversations`.

    Raises:
        UserError: So many samples have no such share.
    """
    wanted = round(caption_share * samples)
    if not 0 < wanted < samples:
        raise UserError(
            f"finetune.caption_share: expected a share of {samples} samples (max_steps x global_batch_size) that is at "
            f"least one and not all, found {caption_share:g}, which is {wanted}; for no captions set 0"
        )
    is_caption = np.diff(np.arange(samples + 1) * wanted // samples) == 1
    order = np.empty(samples, np.int64)
    order[~is_caption] = row_order(conversations, samples - wanted, seed)
    order[is_caption] = conversations + row_order(captions, wanted, derive_seed(seed, "captions"))
    return order


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
    """Which rows each step was made of, as a Parquet file.

    Columns: `step` from 1, `id`, `image` (null for text alone), and `source`, "conversation" or "caption".
    """
    rows = [examples[row] for row in order]
    columns = {
        "step": np.repeat(np.arange(1, len(order) // samples_per_step + 1, dtype=np.int32), samples_per_step),
        "id": pyarrow.array([example.id for example in rows], pyarrow.string()),
        "image": pyarrow.array([example.image for example in rows], pyarrow.string()),
        "source": pyarrow.array([example.source for example in rows], pyarrow.string()),
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


def exposure_by_source(order: NDArray[np.int64], examples: Sequence[Example]) -> dict[Source, dict[str, float]]:
    """`exposure` to each kind of row that there is, by its name."""
    sources = np.array([example.source for example in examples])
    return {
        source: exposure(order[sources[order] == source], int((sources == source).sum()))
        for source in dict.fromkeys(example.source for example in examples)
    }
