"""The corpus as `explore` looks at it: one row per pair, with what `prepare` recorded of its picture."""

from pathlib import Path

import pandas

from recap.data.corpus.index import index_table
from recap.data.corpus.records import Record

COLUMNS = ("id", "image", "caption", "digest", "width", "height", "format", "mode", "brightness", "phash")
"""Of the corpus's index, which says what they are (`recap.data.corpus.index.SCHEMA`)."""


def read_index(index: str | Path) -> pandas.DataFrame:
    """Read a corpus; no picture is opened.

    Raises:
        UserError: The file is missing, or no such index.
    """
    table: pandas.DataFrame = index_table(index, COLUMNS).to_pandas()
    return table


def records_of(table: pandas.DataFrame) -> list[Record]:
    return [Record(*row) for row in zip(table["id"], table["image"], table["caption"], strict=True)]


def distinct_pictures(table: pandas.DataFrame) -> pandas.DataFrame:
    """The pictures of a table, each name once."""
    return table.drop_duplicates("image")
