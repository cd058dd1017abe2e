"""Tables as text: CSV and TSV with a line of column names, read by the standard library."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from recap.data.formats.files import read_shards, refuse_repeated, refuse_utf_16
from recap.data.formats.pictures import is_url
from recap.data.formats.rows import RawRow
from recap.runtime.errors import UserError
from recap.runtime.faults import Fault

SUFFIXES = (".csv", ".tsv")

# Characters of one cell: a picture in base64 fits, the rest of a file behind a quote that never closes does not.
MAX_CELL = 64 << 20


class _Lines:
    """The lines of a file as text. `again` goes back to the line behind the one that `mark` stood before."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.number = 0
        self._marked: tuple[int, int] | None = None
        self._second = (0, 0)

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._stream.readline()
        if not line:
            raise StopIteration
        self.number += 1
        if self._marked is None:
            self._marked = self._second = (self._stream.tell(), self.number)
        # Bytes that are not UTF-8 become surrogates, which cost their row only.
        return line.decode("utf-8-sig" if self.number == 1 else "utf-8", errors="surrogateescape")

    def mark(self) -> None:
        self._marked = None

    def again(self) -> None:
        position, self.number = self._second
        self._stream.seek(position)

    @property
    def first(self) -> int:
        """Number of the first line since `mark`."""
        return self._second[1]


def is_table(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def read_table(path: Path) -> Iterator[RawRow | Fault]:
    """The rows below the column names of a file, or of each file of a folder.

    A quote that is never closed costs the line that it stands in, not those behind it.

    Raises:
        UserError: The only file cannot be read, is not UTF-8, or has no line of column names.
    """
    return read_shards(path, is_table, _read_file)


def _read_file(name: str, path: Path) -> Iterator[RawRow | Fault]:
    csv.field_size_limit(MAX_CELL)
    try:
        refuse_utf_16(path)
        stream = path.open("rb")
    except OSError as error:
        raise UserError(f"{path}: expected a table, found what cannot be read: {error.strerror}") from None
    with stream:
        yield from _rows(name, path, _Lines(stream))


def _rows(name: str, path: Path, lines: _Lines) -> Iterator[RawRow | Fault]:
    header = next(lines, "")
    delimiter = max("\t" if path.suffix.lower() == ".tsv" else ",", ";", "\t", "|", key=header.count)
    try:
        names = next(csv.reader([header], delimiter=delimiter), [])
    except csv.Error as error:
        raise UserError(f"{path}: expected a line of column names, {error}") from None
    if not any(column.strip() for column in names):
        raise UserError(f"{path}: expected a line of column names, found nothing")
    names = [column.strip() for column in names]
    if any(map(is_url, names)):
        row = delimiter.join(names)
        raise UserError(f"{path}: expected a line of column names, found a row: {row:.80}...; put the names before it")
    refuse_repeated(path, names)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.mark()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            where = f"{name}:{lines.first}"
            yield Fault(where, None, "broken_row", f"expected cells that end where they should, {error}")
            lines.again()
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
            continue
        where = f"{name}:{lines.first}"
        if len(cells) > len(names):
            detail = f"expected {len(names)} columns, found {len(cells)}: a cell with {delimiter!r} needs quotes"
            yield Fault(where, None, "broken_row", detail)
        elif any(cells):
            yield RawRow(where, dict(zip(names, cells, strict=False)))
