"""Reading and writing the files that stages exchange: atomic, UTF-8, errors that name file and line."""

import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recap.runtime.errors import UserError


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; when the block ends without an error it becomes `path`.

    The block may create a file or a folder there. A reader sees the old output or the whole new one.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    holder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        draft = holder / target.name
        yield draft
        if target.is_dir():
            shutil.rmtree(target)
        os.replace(draft, target)
    finally:
        shutil.rmtree(holder, ignore_errors=True)


def write_text(path: str | Path, text: str) -> None:
    with atomic_path(path) as draft:
        draft.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write indented JSON. NaN and infinity are refused: no JSON reader is obliged to know them."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Parse a JSON file.

    Raises:
        UserError: The file is missing or is not JSON; the message names file, line and column.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: expected a JSON file, found nothing; run the stage that writes it") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: expected UTF-8 text, found byte {error.start} that is not") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno}:{error.colno}: expected JSON, {error.msg}") from None


def write_jsonl(path: str | Path, rows: Iterable[dict[str, Any]]) -> int:
    """Write one JSON object per line, atomically. Returns the number of rows."""
    count = 0
    with atomic_path(path) as draft, draft.open("w", encoding="utf-8") as stream:
        for row in rows:
            stream.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
            count += 1
    return count


def read_jsonl(path: str | Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON Lines file that Recap itself wrote; blank lines are skipped.

    For a user's own file, where a bad line costs only itself, see `recap.data.sources`.

    Raises:
        UserError: The file is missing, or a line is not a JSON object; the message names file and line.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: expected a JSON Lines file, found nothing; run the stage that writes it")
    with Path(path).open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise UserError(f"{path}:{number}: expected a JSON object, {error.msg}") from None
            if not isinstance(row, dict):
                raise UserError(f"{path}:{number}: expected a JSON object, found {type(row).__name__}")
            yield row


def write_metrics(path: str | Path, subject: str, values: dict[str, Any]) -> None:
    """Write `{subject: values}` for `dvc metrics`: floats rounded to 6 decimals so that diffs stay readable.

    Args:
        subject: The file's top key, for example "textvqa"; it keeps the columns of `dvc exp show` unique.
        values: Numbers, strings and nested dicts of them; None where a number does not exist.

    Raises:
        ValueError: A number is NaN or infinite.
    """
    write_json(path, {subject: _rounded(values, subject)})


def _rounded(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item, f"{name}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item, f"{name}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"metric {name} is {value}; write None where a number does not exist")
        return round(value, 6)
    return value
