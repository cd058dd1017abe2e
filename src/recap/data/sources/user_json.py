"""Read JSON that a user brings: what other tools write is taken where it can be told what it means.

A byte order mark is dropped (with one, UTF-16 is read too). NaN and infinity, which are no JSON, become null: a field
that matters is then missing, and costs its row. A list may come as JSON Lines.
"""

import codecs
import json
import math
from pathlib import Path
from typing import Any

from recap.data.formats.fields import BadRow
from recap.runtime.errors import UserError


def read_text(path: Path, what: str) -> str:
    """A user's text file.

    Args:
        path: The file.
        what: What it is to the reader of an error: "the annotations of questions.json".

    Raises:
        UserError: It is not there, cannot be read or is no text.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(
            f"{path}: expected {what}, found nothing; add your file, docs/DATA.md shows its place"
        ) from None
    except OSError as error:
        raise UserError(f"{path}: expected {what}, found what cannot be read: {error.strerror}") from None
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: expected UTF-8 text, found byte {error.start} that is not") from None


def parse(text: str) -> Any:
    """Parse JSON; raises ValueError or RecursionError."""
    return json.loads(text, parse_constant=_null, parse_float=_finite)


def read_user_object(path: Path, what: str) -> dict[str, Any]:
    """A user's JSON object.

    Raises:
        UserError: See `read_text`; or the file holds something else.
    """
    value = _whole(path, read_text(path, what))
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected a JSON object, found {type(value).__name__}")
    return value


def read_user_list(path: Path, what: str) -> list[tuple[str, Any | BadRow]]:
    """The items of a user's JSON list, or of the JSON Lines that stand in its place.

    Returns:
        Where each item stands ("finetune.json:item 3", "finetune.json:3"), and it, or what is wrong with its line.

    Raises:
        UserError: See `read_text`; or the file holds something else.
    """
    text = read_text(path, what)
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if path.suffix == ".jsonl" and not lines:
        return []
    by_line = len(lines) > 1 or path.suffix == ".jsonl"
    if by_line and not lines[0][1].lstrip().startswith("[") and _is_object(lines[0][1]):
        return [(f"{path.name}:{number}", _line(line)) for number, line in lines]
    value = _whole(path, text)
    if not isinstance(value, list):
        raise UserError(f"{path}: expected a JSON list of {what}, found {type(value).__name__}")
    return [(f"{path.name}:item {number}", item) for number, item in enumerate(value, start=1)]


def is_writable(value: Any) -> bool:
    """Whether all text in a value fits UTF-8: JSON can spell half of a surrogate pair, which no file can hold."""
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _whole(path: Path, text: str) -> Any:
    try:
        return parse(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno}:{error.colno}: expected JSON, {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: expected JSON, {error}") from None


def _line(line: str) -> Any | BadRow:
    try:
        return parse(line)
    except (ValueError, RecursionError) as error:
        return BadRow("broken_json", f"expected a JSON object, {error}")


def _is_object(line: str) -> bool:
    try:
        return isinstance(parse(line), dict)
    except (ValueError, RecursionError):
        return False


def _null(_: str) -> None:
    return None


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None
