"""A Data-Juicer dataset as the Arrow table behind it: whole columns at a time, no row in Python's hands.

What has no one Arrow type, such as dicts with other keys in other rows, is JSON in a column, as `datasets` keeps it:
operators see the values themselves.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pyarrow
from datasets.table import InMemoryTable

from recap.data.processing.juicer import Fields, NestedDataset


def as_dataset(table: pyarrow.Table) -> NestedDataset:
    return NestedDataset(InMemoryTable(table))


def as_table(dataset: Any, columns: Iterable[str] | None = None) -> pyarrow.Table:
    """The rows of a dataset, those that a filter or a selection left, in its order; all columns or some."""
    chosen = dataset if columns is None else dataset.select_columns(list(columns))
    arrow = chosen.with_format("arrow")
    # Chosen rows come as a piece each, which takes workers gigabytes to receive; so many at a time take little here.
    pieces = [arrow[start : start + 10_000].combine_chunks() for start in range(0, len(arrow), 10_000)]
    return pyarrow.concat_tables(pieces).combine_chunks() if pieces else arrow[:]


def with_column(table: pyarrow.Table, name: str, values: Any) -> pyarrow.Table:
    """A table with this column, new or in the place of the old one."""
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), name, values)
    return table.append_column(name, values)


def column_of(values: Sequence[Any]) -> pyarrow.Array:
    """Any JSON values as a column: of their common Arrow type, else as JSON."""
    try:
        column = pyarrow.array(values)
    except (pyarrow.ArrowException, OverflowError):
        return json_column(values)
    # A column of dicts gives each row all keys.
    return json_column(values) if "struct" in str(column.type) else column


def json_column(values: Iterable[Any]) -> pyarrow.Array:
    encoded = [None if value is None else json.dumps(value, ensure_ascii=False) for value in values]
    return pyarrow.ExtensionArray.from_storage(pyarrow.json_(), pyarrow.array(encoded, pyarrow.string()))


def values_of(column: pyarrow.ChunkedArray) -> list[Any]:
    """A column's values, JSON parsed."""
    if not isinstance(column.type, pyarrow.JsonType):
        return column.to_pylist()
    return [None if value is None else json.loads(value) for value in column.to_pylist()]


def statistics_of(table: pyarrow.Table) -> list[dict[str, Any]]:
    """Data-Juicer's statistics of each row; empty before the first filter."""
    return values_of(table[Fields.stats]) if Fields.stats in table.column_names else [{} for _ in range(len(table))]


def columns_of_statistics(table: pyarrow.Table, wanted: Callable[[str], bool]) -> dict[str, list[Any]]:
    """Data-Juicer's statistics by name, a value a row, None where a row has none; only names that are wanted."""
    columns: dict[str, list[Any]] = {}
    # One row's dict at a time: those of all would be the largest thing in memory.
    for number, text in enumerate(table[Fields.stats].to_pylist()):
        for name, value in (json.loads(text) if isinstance(text, str) else text or {}).items():
            if name not in columns and wanted(name):
                columns[name] = [None] * len(table)
            if name in columns:
                columns[name][number] = value
    return columns
