"""Read single fields of a row that a user wrote, where anything may be missing or of another type."""

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recap.runtime.faults import Unusable


class BadRow(Unusable):
    """A row that cannot be used."""


def json_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The non-blank lines of a file with their numbers, from 1. A byte order mark is dropped."""
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            text = line.removeprefix(codecs.BOM_UTF8).strip() if number == 1 else line.strip()
            if text:
                yield number, text


def parse_object(line: bytes) -> dict[str, Any]:
    """Parse one line as a JSON object.

    Raises:
        BadRow: broken_json or not_an_object.
    """
    try:
        value = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadRow("broken_json", f"expected UTF-8 text, found byte {error.start} that is not") from None
    except (ValueError, RecursionError) as error:
        raise BadRow("broken_json", f"expected a JSON object, {error}") from None
    return as_object(value)


def as_object(value: Any) -> dict[str, Any]:
    """Raises: BadRow: not_an_object."""
    if not isinstance(value, dict):
        raise BadRow("not_an_object", f"expected a JSON object, found {type(value).__name__}")
    return value


def identifier(row: dict[str, Any], key: str = "id") -> str:
    """A row's id as text; numbers are taken too.

    Raises:
        BadRow: missing_id.
    """
    value = row.get(key)
    if isinstance(value, float) and value.is_integer():  # a table's column with gaps holds no whole numbers
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise BadRow("missing_id", f"expected {key!r} to be text or a whole number, found {value!r:.80}")
    return writable(str(value), key)


def text(row: dict[str, Any], *keys: str, reason: str = "missing_text") -> str:
    """The text under the first of several keys that the row has.

    Raises:
        BadRow: `reason`, when none is there or it is not text; broken_text when it cannot be written as UTF-8.
    """
    key = next((key for key in keys if row.get(key) is not None), keys[0])
    value = row.get(key)
    if not isinstance(value, str):
        raise BadRow(reason, f"expected {' or '.join(map(repr, keys))} to be text, found {value!r:.80}")
    return writable(value, key)


def writable(value: str, key: str) -> str:
    """Refuse text with half of a surrogate pair, which JSON can spell but no UTF-8 file can hold.

    Raises:
        BadRow: broken_text.
    """
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        # Readers take bytes that are not UTF-8 for characters from here on.
        found = "a byte that is not UTF-8" if "\udc80" <= value[error.start] <= "\udcff" else "half of a surrogate pair"
        raise BadRow("broken_text", f"{key!r} holds {found} at character {error.start}") from None
    return value


def is_index(text: str) -> bool:
    """Whether a text is a number that can be a row's: a whole one that is not negative and fits 64 bits."""
    return text.isascii() and text.isdecimal() and len(text) <= 18


def best_effort_id(row: Any, key: str = "id") -> str | None:
    """The id of a row that is being rejected, if it has one that can be written down."""
    try:
        return identifier(as_object(row), key)
    except BadRow:
        return None
