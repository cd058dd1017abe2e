"""Derangements: every row gets another one's place, never one of its own kind; seeded, whatever order rows come in."""

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy
import pyarrow
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from recap.runtime.errors import UserError
from recap.runtime.seeding import derive_seed


class Circle:
    """All rows in a seeded circle, those of a kind side by side.

    Whoever steps on by at least the size of the largest kind, and stops as far before coming round, meets rows of
    other kinds alone.

    Args:
        ids: Of the rows, all different: chance depends on them and on the seed.
        kinds: Of each row what no other row that it meets may have.
        seed: Of the order.

    Raises:
        UserError: More than half of the rows are of one kind.
    """

    def __init__(self, ids: Sequence[str], kinds: Sequence[Hashable], seed: int) -> None:
        self.step = max(Counter(kinds).values())
        if 2 * self.step > len(ids):
            raise UserError(
                f"expected other images for every image's caption, found one image in {self.step} of {len(ids)} rows"
            )
        keys = [derive_seed(seed, "circle", row_id) for row_id in ids]
        first: dict[Hashable, int] = {}
        for kind, key in zip(kinds, keys, strict=True):
            first[kind] = min(key, first.get(kind, key))
        self.rows = sorted(range(len(ids)), key=lambda row: (first[kinds[row]], keys[row]))
        self.place = {row: place for place, row in enumerate(self.rows)}

    def other(self, row: int, number: int = 0) -> int:
        """The row that a row meets first, second and so on: every number is a permutation of the rows."""
        count = len(self.rows)
        steps = self.step + number % (count - 2 * self.step + 1)
        return self.rows[(self.place[row] + steps) % count]


def kinds_of(images: Sequence[str], captions: Sequence[str]) -> list[Hashable]:
    """Rows that share a picture or the words of a caption are of a kind, and so are those that others link.

    Where this makes most rows of one kind, as one caption of half a corpus does, pictures alone decide.
    """
    count = len(images)
    rows = numpy.arange(count)
    # A graph of rows, pictures and captions, each row beside its two.
    pictures, words = (_numbered(values) for values in (images, captions))
    beside = numpy.concatenate([count + pictures, 2 * count + words])
    edges = coo_array((numpy.ones(2 * count), (numpy.tile(rows, 2), beside)), shape=(3 * count, 3 * count))
    linked = connected_components(edges, directed=False)[1][:count].tolist()
    return list(images) if 2 * max(Counter(linked).values()) > count else linked


def _numbered(values: Sequence[str]) -> numpy.ndarray:
    """Equal values by one number below their count."""
    return pyarrow.array(values, pyarrow.string()).dictionary_encode().indices.to_numpy()
