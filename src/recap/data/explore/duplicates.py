"""Pictures that look like an earlier one: found in time that grows with the rows, not with their pairs."""

from itertools import combinations, pairwise

import numpy
import pandas
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from recap.data.statistics.duplicates import Bools, Hashes, Ints

MAX_DISTANCE = 4
"""Perceptual hashes are close when at most so many of their 64 bits differ: scaling and compression change as many."""

MAX_SHAPE_DIFFERENCE, MAX_BRIGHTNESS_DIFFERENCE = 0.02, 2
"""Of pictures whose hashes are close but not equal: of width by height, as a share, and of the mean grey (0-255).
Scaled copies stay within them; drawings, whose hashes are often close, mostly do not."""

BANDS = 7
"""Parts that a hash is cut into: `MAX_DISTANCE` different bits leave three of them equal, whichever they are."""

NEIGHBOURS = 8
"""A hash is held against so many that follow it in its bucket; only heaps of look-alikes are larger."""

PLAIN_BITS = 16
"""Half the bits of a picture's hash are set; a plain surface sets fewer than these, and looks like every other one."""


def repeats(keys: pandas.Series) -> int:
    """How many values stood there before."""
    return int(keys.duplicated().sum())


def copies(keys: pandas.Series) -> pandas.Series:
    """How many groups of equal values there are, by size of group, smallest first."""
    return keys.value_counts().value_counts().sort_index()


def to_hashes(phashes: pandas.Series) -> Hashes:
    """Perceptual hashes as numbers, shape (rows,): from 16 hexadecimal digits each."""
    return numpy.frombuffer(bytes.fromhex("".join(phashes)), dtype=">u8").astype(numpy.uint64)


def is_plain(hashes: Hashes) -> Bools:
    """Whether a picture is too plain for its hash to tell it from others."""
    return numpy.bitwise_count(hashes) < PLAIN_BITS


def close_pairs(hashes: Hashes) -> tuple[Ints, Ints]:
    """Pairs of hashes at most `MAX_DISTANCE` bits apart, each pair once or more often.

    Hashes are sorted once per choice of three bands; those that agree in the three lie side by side.

    Args:
        hashes: Different from one another, shape (count,).

    Returns:
        Indices into `hashes`, two arrays of shape (pairs,).
    """
    edges = numpy.linspace(0, 64, BANDS + 1).astype(int)
    masks = [numpy.uint64(((1 << int(high - low)) - 1) << int(low)) for low, high in pairwise(edges)]
    firsts, seconds = [], []
    for chosen in combinations(masks, BANDS - MAX_DISTANCE):
        keys = hashes & numpy.bitwise_or.reduce(numpy.array(chosen))
        order = numpy.lexsort((hashes, keys))
        keys, ordered = keys[order], hashes[order]
        for step in range(1, min(NEIGHBOURS, len(hashes) - 1) + 1):
            distance = numpy.bitwise_count(ordered[:-step] ^ ordered[step:])
            alike = (keys[:-step] == keys[step:]) & (distance <= MAX_DISTANCE)
            firsts.append(order[:-step][alike])
            seconds.append(order[step:][alike])
    if not firsts:
        return numpy.zeros(0, dtype=numpy.int64), numpy.zeros(0, dtype=numpy.int64)
    return numpy.concatenate(firsts), numpy.concatenate(seconds)


def confirmed(first: pandas.DataFrame, second: pandas.DataFrame) -> Bools:
    """Whether pictures with close hashes are alike in shape and brightness too, row by row.

    Args:
        first, second: Equally long tables with `width`, `height` and `brightness`.
    """
    ratio = (first["width"] / first["height"]).to_numpy() / (second["width"] / second["height"]).to_numpy()
    brightness = first["brightness"].to_numpy() - second["brightness"].to_numpy()
    return (numpy.abs(ratio - 1) <= MAX_SHAPE_DIFFERENCE) & (numpy.abs(brightness) <= MAX_BRIGHTNESS_DIFFERENCE)


def picture_groups(table: pandas.DataFrame) -> pandas.Series:
    """The group of pictures that look the same, as a number per row of a table of pictures.

    Two pictures are in one group when their files or hashes are equal, or when a chain of pictures with close hashes,
    alike in shape and brightness, leads from one to the other. Plain surfaces are grouped by their files alone.
    """
    if table.empty:
        return pandas.Series(dtype="int64")
    hashes = to_hashes(table["phash"])
    plain = is_plain(hashes)
    by_file = pandas.factorize(table["digest"])[0]
    # A plain picture stands for itself: its file's number takes the place of its hash.
    different, where, looks = numpy.unique(hashes[~plain], return_index=True, return_inverse=True)
    nodes = numpy.empty(len(table), dtype=numpy.int64)
    nodes[~plain] = looks
    nodes[plain] = len(different) + by_file[plain]
    size = len(different) + int(by_file.max()) + 1
    first, second = close_pairs(different)
    shown = table[~plain].iloc[where]
    alike = confirmed(shown.iloc[first], shown.iloc[second])
    links = coo_array((numpy.ones(int(alike.sum()), dtype=bool), (first[alike], second[alike])), shape=(size, size))
    return pandas.Series(connected_components(links, directed=False)[1][nodes], index=table.index)
