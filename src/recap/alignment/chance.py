"""The corpus's own captions with their scores, and what captions of other rows would get.

These are by which to know what a cosine is worth: models differ in what they give to strangers.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from recap.alignment.scoring import Scores
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


def scored_rows(records: Sequence[Record], others: Mapping[int, str], scores: Scores) -> list[dict[str, Any]]:
    """The rows of data/raw_captions.jsonl, one for each of the corpus's: cosines, None where there is none.

    Args:
        records: The corpus.
        others: Of `captions_by_chance`.
        scores: Of both.
    """
    return [
        {
            "id": record.id,
            "image": record.image,
            "caption": record.caption,
            "alignment": scores.alignment(record.image, record.caption),
            "chance": scores.alignment(record.image, others[number]) if number in others else None,
        }
        for number, record in enumerate(records)
    ]
