"""Rows as operators see them, in a Data-Juicer dataset, and corpus rows made of what is left of them.

An operator's row holds `id`, the bare caption as `text`, `images` (one name) and the user's further fields,
each a column of its own. Data-Juicer adds its columns: `__dj__stats__`, `__dj__meta__`, hashes. They stay with the row.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow

from recap.data.corpus.records import Record, dj_text
from recap.data.processing.captions import RAW, Alignments, alignment_of
from recap.data.processing.columns import as_dataset, column_of, statistics_of, values_of
from recap.data.processing.juicer import Fields, HashKeys, NestedDataset
from recap.data.processing.ops.corpus_mapper import CAPTION_IMAGES, RAW_TEXT, SOURCE

logger = logging.getLogger(__name__)

Row = dict[str, Any]

ROW = ("id", "text", "images")

MARKED_TEXT = "marked_text"
"""The column with Data-Juicer's markers around the caption, there while an operator runs that asks for it."""

SCORES = ("alignment", "raw_alignment", "blip2_alignment")
"""How well captions fit a row's image: its own, the raw one, BLIP-2's."""

RESERVED = (*ROW, MARKED_TEXT, RAW_TEXT, SOURCE, CAPTION_IMAGES, "raw_id", *SCORES)
"""What a processed row says itself, so that no field of the user can be called so."""


@dataclass(frozen=True)
class KnownCaptions:
    """BLIP-2's captions by image, and how well each caption fits its image."""

    blip2: Mapping[str, str]
    alignments: Alignments

    def scores(self, record: Record, text: str) -> dict[str, float | None]:
        """`SCORES` of a row that comes from this record and carries this caption; None where nobody scored it."""
        captions = (text, record.caption, self.blip2.get(record.image, ""))
        return {
            name: alignment_of(record.image, caption, self.alignments)
            for name, caption in zip(SCORES, captions, strict=True)
        }


HASHES = {value for name, value in vars(HashKeys).items() if not name.startswith("_")}


def to_dataset(records: Sequence[Record]) -> NestedDataset:
    """The rows of a corpus for operators."""
    columns = {
        "id": pyarrow.array([record.id for record in records], pyarrow.string()),
        "text": pyarrow.array([record.caption for record in records], pyarrow.string()),
        "images": pyarrow.array([[record.image] for record in records], pyarrow.list_(pyarrow.string())),
    }
    for name in dict.fromkeys(name for record in records for name in record.fields):
        if name in RESERVED:
            logger.warning("the corpus's own field %s gives way to that of the run", name)
            continue
        columns[name] = column_of([record.fields.get(name) for record in records])
    return as_dataset(pyarrow.table(columns))


def corpus_rows(
    table: pyarrow.Table, sources: Sequence[Record], given: pyarrow.Table, known: KnownCaptions
) -> list[Row]:
    """Rows of the processed corpus: the pair, where its caption comes from, scores, and the user's fields.

    `raw_id` is there where a row was made of another, which it names; `caption_images` in a placebo, whose caption is
    of these images. A field is passed on as the user wrote it, unless an operator changed it: a column cannot say that
    some rows lack a field, or a part of one.

    Args:
        table: What the last operator left.
        sources: For each of its rows the record that it comes from.
        given: Of the same rows the columns that the first operator was given.
        known: BLIP-2's captions, and how well captions fit.
    """
    changed = {
        name: list(zip(values_of(given[name]), values_of(table[name]), strict=True))
        for name in given.column_names
        if name not in ROW and not table[name].equals(given[name])
    }
    captions, images = (
        table[name].to_pylist() if name in table.column_names else [None] * len(table)
        for name in (SOURCE, CAPTION_IMAGES)
    )
    rows = []
    for number, (row_id, text, record) in enumerate(
        zip(table["id"].to_pylist(), table["text"].to_pylist(), sources, strict=True)
    ):
        fields = {name: value for name, value in record.fields.items() if name not in RESERVED}
        for name, values in changed.items():
            before, after = values[number]
            if after != before:
                fields[name] = after
        row = {"id": row_id, "text": dj_text(text), "images": [record.image], RAW_TEXT: record.caption}
        row[SOURCE] = captions[number] or RAW
        if row_id != record.id:
            row["raw_id"] = record.id
        if images[number] is not None:
            row[CAPTION_IMAGES] = images[number]
        rows.append({**row, **known.scores(record, text), **fields})
    return rows


def computed_columns(table: pyarrow.Table, given: Iterable[str]) -> pyarrow.Table:
    """What operators found out about each row: its id, its statistics, its metadata and other columns of theirs.

    Args:
        table: What the last operator left.
        given: Columns of the rows that the first one was given.
    """
    columns = {"id": table["id"]}
    statistics = statistics_of(table)
    for name in dict.fromkeys(name for row in statistics for name in row):
        columns[name] = column_of([row.get(name) for row in statistics])
    for name in table.column_names:
        if name not in {*given, *RESERVED, Fields.stats, *HASHES}:
            columns[name] = column_of(values_of(table[name]))
    # Parquet has no JSON: it is text there.
    plain = {
        name: pyarrow.array(column.to_pylist()) if _is_json(column) else column for name, column in columns.items()
    }
    return pyarrow.table(plain)


def _is_json(column: Any) -> bool:
    return isinstance(column.type, pyarrow.JsonType)
