"""The corpus as `explore` looks at it: one row per pair, with what `prepare` recorded of its picture.

Columns: `id`, `image`, `caption`, `digest`, `format`, `mode` and `phash` are text, `width` and `height` pixels as the
picture is shown, `brightness` 0..255. `broken` says what is wrong with a picture that cannot be read, and is empty
otherwise; the facts of such a picture are zero or empty.
"""

from pathlib import Path

import pandas
from pyarrow.lib import ArrowInvalid

from recap.data.corpus.index import INDEX
from recap.data.corpus.records import Record, read_corpus
from recap.data.explore.pictures import read_pictures
from recap.runtime.errors import UserError

RECORDED = ("id", "image", "caption", "digest", "width", "height", "format", "mode", "brightness", "phash")
"""The columns that the index of a corpus brings."""


def read_table(corpus: str | Path, images: str | Path) -> pandas.DataFrame:
    """Read a corpus.

    Args:
        corpus: Its rows, in Data-Juicer's form.
        images: The folder that image paths start from. Where it holds an index, that is read instead, and no picture is
            opened.

    Raises:
        UserError: A file is missing or is not what its stage writes.
    """
    index = Path(images) / INDEX
    if index.is_file():
        return read_index(index)
    return table_of(read_corpus(corpus), images)


def read_index(file: Path) -> pandas.DataFrame:
    """The table of a corpus whose pictures `prepare` has described in its index.

    Raises:
        UserError: The file is no such index.
    """
    try:
        return pandas.read_parquet(file, columns=list(RECORDED)).assign(broken="")
    except (ArrowInvalid, KeyError, OSError) as error:
        problem = " ".join(str(error).split())[:200]
        raise UserError(f"{file}: expected an index with {', '.join(RECORDED)}; rerun prepare ({problem})") from None


def table_of(records: list[Record], images: str | Path) -> pandas.DataFrame:
    """The table of pairs whose pictures are files: every different one is opened once."""
    pairs = pandas.DataFrame(
        {
            "id": [record.id for record in records],
            "image": [record.image for record in records],
            "caption": [record.caption for record in records],
        },
        dtype=object,
    )
    return pairs.merge(read_pictures(images, pairs["image"].unique()), on="image", how="left")


def records_of(table: pandas.DataFrame) -> list[Record]:
    return [Record(*row) for row in zip(table["id"], table["image"], table["caption"], strict=True)]


def distinct_pictures(table: pandas.DataFrame) -> pandas.DataFrame:
    """The readable pictures of a table, each name once."""
    return table[table["broken"] == ""].drop_duplicates("image")
