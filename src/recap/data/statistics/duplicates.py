"""Captions that say, or nearly say, what an earlier one does, found in time that grows with rows and not with pairs."""

import hashlib
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import numpy
import pandas
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from tqdm import tqdm

from recap.data.processing.juicer import HashKeys, load_ops
from recap.data.statistics.text import count_duplicates, percent

SHINGLE = 5
NEARLY = {"tokenization": "character", "window_size": SHINGLE, "num_permutations": 128, "jaccard_threshold": 0.7}
"""Captions are nearly the same when seven in ten of their runs of five characters are (MinHash finds most of these)."""

Bools = numpy.ndarray[Any, numpy.dtype[numpy.bool_]]
Hashes = numpy.ndarray[Any, numpy.dtype[numpy.uint64]]
Ints = numpy.ndarray[Any, numpy.dtype[numpy.int64]]


def describe_duplicates(captions: Sequence[str]) -> dict[str, float | None]:
    """Percent (0-100) of captions that equal an earlier one, and of those that differ from one little or not at all."""
    return {
        "duplicate_caption_percent": percent(count_duplicates(captions), len(captions)),
        "near_duplicate_caption_percent": percent(
            int(nearly_the_same(pandas.Series(captions, dtype=object)).sum()), len(captions)
        ),
    }


def nearly_the_same(captions: pandas.Series) -> Bools:
    """Which captions nearly say what an earlier one does, shape (rows,): what `document_minhash_deduplicator` drops.

    Captions shorter than a run of characters, which it holds all for the same, are left out.
    """
    groups = pandas.Series(signature_groups(caption_signatures(captions)))
    again: Bools = groups.duplicated().to_numpy() & (captions.map(len) >= SHINGLE).to_numpy()
    return again


def caption_signatures(captions: Iterable[str]) -> Hashes:
    """What `document_minhash_deduplicator` holds captions for nearly the same by: rows that agree in one column.

    Returns:
        Digests of each band of a caption's MinHash, shape (rows, bands).
    """
    operator = _deduplicator()
    bar = tqdm(captions, desc="near duplicates", unit="caption", delay=3, leave=False)
    bands = (_digest(band) for caption in bar for band in operator.compute_hash({"text": caption})[HashKeys.minhash])
    return numpy.fromiter(bands, dtype=numpy.uint64).reshape(-1, operator.num_bands)


@cache
def _deduplicator() -> Any:
    # It looks for its number of bands by integrating, which takes longer than a hundred captions.
    (operator,) = load_ops([{"document_minhash_deduplicator": dict(NEARLY)}])
    return operator


def _digest(band: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(band, digest_size=8).digest())


def signature_groups(signatures: Hashes) -> Ints:
    """The group of each row: rows that agree in a column are in one, and so are those that a chain of such rows links.

    Args:
        signatures: Shape (rows, columns).

    Returns:
        Numbers of groups, shape (rows,).
    """
    count, columns = signatures.shape
    firsts = []
    for column in signatures.T:
        _, first, where = numpy.unique(column, return_index=True, return_inverse=True)
        firsts.append(first[where])
    ends = numpy.tile(numpy.arange(count), columns), numpy.concatenate(firsts)
    links = coo_array((numpy.ones(count * columns, dtype=bool), ends), shape=(count, count))
    groups: Ints = connected_components(links, directed=False)[1]
    return groups
