"""Captions of other rows, by which to know what a cosine is worth: models differ in what they give to strangers."""

from collections.abc import Sequence

from recap.data.corpus.records import Record
from recap.runtime.seeding import derive_seed

MOST = 2000
"""Rows that get another row's caption; quantiles need no more."""


def captions_by_chance(records: Sequence[Record]) -> dict[int, str]:
    """Row number -> an earlier row's caption, at random.

    Every row is drawn from, or every second, fourth, ... so that at most `MOST` are. A row's partner depends on its id
    and on the rows before it, so that rows that are added at the end change nobody's.
    """
    step = 1
    while len(records) / step > MOST:
        step *= 2
    drawn = {
        number: records[derive_seed(0, "chance", records[number].id) % number]
        for number in range(step, len(records), step)
    }
    return {
        number: other.caption
        for number, other in drawn.items()
        if other.image != records[number].image and other.caption != records[number].caption
    }
