"""The tables that the benchmarks print."""

from collections.abc import Sequence
from typing import Any


def print_table(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    """Rows under their columns, "-" where a row has no value."""
    cells = [["-" if row.get(column) is None else str(row[column]) for column in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    print()
    for line in [columns, *cells]:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
