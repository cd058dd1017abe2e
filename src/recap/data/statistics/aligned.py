"""A corpus with how well each caption fits its picture."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recap.data.corpus.records import Record, read_corpus
from recap.io import read_jsonl
from recap.runtime.errors import UserError

ALIGNMENT = "alignment"


@dataclass(frozen=True)
class AlignedCorpus:
    """Rows and their scores.

    Attributes:
        records: The rows.
        alignment: Cosine of caption and picture, in [-1, 1], shape (rows,); NaN where it is not known.
    """

    records: list[Record]
    alignment: NDArray[np.float64]


def read_raw_captions(path: str | Path) -> AlignedCorpus:
    """Read the corpus as `align@raw` wrote it: rows `{"id", "image", "caption", "alignment": cosine or null}`.

    Raises:
        UserError: The file is missing, or a row is not such a row.
    """
    records = []
    for number, row in enumerate(read_jsonl(path), start=1):
        try:
            records.append(Record(row["id"], row["image"], row["caption"]))
        except KeyError as missing:
            raise UserError(
                f"{path}: row {number}: expected id, image and caption, found no {missing}; "
                "run the stage that writes it"
            ) from None
    return AlignedCorpus(records, _alignment(read_jsonl(path)))


def read_processed(path: str | Path) -> AlignedCorpus:
    """Read the corpus that `process` wrote; a row's `alignment` is that of the caption it carries, null if unknown.

    Raises:
        UserError: The file is missing, or a row is not a pair.
    """
    return AlignedCorpus(read_corpus(path), _alignment(read_jsonl(path)))


def _alignment(rows: Iterable[dict[str, Any]]) -> NDArray[np.float64]:
    # None becomes NaN.
    return np.array([row.get(ALIGNMENT) for row in rows], dtype=np.float64)
