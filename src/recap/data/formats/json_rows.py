"""Rows in JSON: an object per line (Data-Juicer's, or plain ones) or an array of them (LLaVA's), whatever the name."""

from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from recap.data.formats.fields import BadRow, as_object, best_effort_id, json_lines, parse_object
from recap.data.formats.files import read_shards, refuse_utf_16
from recap.data.formats.json_text import array_items, starts_with
from recap.data.formats.llava import read_pair
from recap.data.formats.rows import RawRow
from recap.runtime.errors import UserError
from recap.runtime.faults import Fault

LINES_SUFFIXES = (".jsonl", ".ndjson")


def is_lines(path: Path) -> bool:
    return path.suffix.lower() in LINES_SUFFIXES


def read_json_rows(path: Path) -> Iterator[RawRow | Fault]:
    """The rows of a file, or of all files of lines in a folder; a question and its answer are pairs too.

    Raises:
        UserError: The only file cannot be read, is a broken array, or one object over several lines.
    """
    return read_shards(path, is_lines, _read_file)


def _read_file(name: str, file: Path) -> Iterator[RawRow | Fault]:
    for where, value in _values(name, file):
        try:
            if isinstance(value, BadRow):
                raise value
            yield read_pair(RawRow(where, as_object(value)))
        except BadRow as error:
            yield error.at(where, best_effort_id(value))


def _values(name: str, path: Path) -> Iterator[tuple[str, Any | BadRow]]:
    """(where, value) for every item of an array or for every line; a line that is no JSON object gives its fault."""
    if starts_with(path) == "[":
        for number, value in enumerate(array_items(path), start=1):
            yield f"{name}:item {number}", value
        return
    refuse_utf_16(path)
    lines = ((number, _parsed(line)) for number, line in _not_one_object(path))
    yield from ((f"{name}:{number}", value) for number, value in lines)


def _parsed(line: bytes) -> dict[str, Any] | BadRow:
    try:
        return parse_object(line)
    except BadRow as error:
        return error.with_traceback(None)


def _not_one_object(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a file.

    Raises:
        UserError: The first two lines are no objects, but the beginning of one.
    """
    lines = json_lines(path)
    head = list(islice(lines, 2))
    broken = [line for _, line in head if isinstance(_parsed(line), BadRow)]
    if len(broken) == 2 and broken[0].startswith(b"{") and broken[0].endswith((b"{", b"[")):
        raise UserError(
            f"{path}: expected an object in each line, or an array of objects, found an object over several lines; "
            "`jq -c . FILE` writes lines of objects, `jq -c '.KEY[]' FILE` those of a list in one"
        )
    return chain(head, lines)
