"""Reading and writing the files that stages exchange: atomic, UTF-8, errors that name file and line.

No stage has this file as a dependency: it says how files are written, not what stands in them. Its one number, the
decimals that metrics and details are rounded to, is therefore seen by a stage when it next runs; after changing it,
`dvc repro --force` writes everything anew.
"""

import codecs
import csv
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recap.runtime.errors import UserError
from recap.runtime.faults import spelt_out
from recap.runtime.stage import DVC_STAGE

DECIMALS = 6
# What a spreadsheet takes for the beginning of a formula.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; when the block ends without an error it becomes `path`.

    The block may create a file or a folder there. A reader sees the old output or the whole new one. A folder gives way
    to a folder alone. A stage that DVC runs is alone at its outputs: what a killed one left beside them is removed.

    Raises:
        UserError: Nothing can be written there, or a file would take a folder's place.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if DVC_STAGE in os.environ:
            remove_drafts(target)
        holder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise UserError(f"{target}: expected a place to write to, found {error.strerror}: {error.filename}") from None
    try:
        draft = holder / target.name
        yield draft
        if target.is_dir():
            if not draft.is_dir():
                raise UserError(f"{target}: expected a file to write, found a folder; name a file in it")
            shutil.rmtree(target)
        os.replace(draft, target)
    finally:
        shutil.rmtree(holder, ignore_errors=True)


def refuse_linked_folders(paths: Iterable[Path]) -> None:
    """Refuse outputs behind a symbolic link, which DVC does not take, as it says after the stage has run.

    Args:
        paths: Outputs, relative to the project's root; absolute ones are none of DVC's.

    Raises:
        UserError: A folder on the way is a link.
    """
    for folder in (folder for path in paths if not path.is_absolute() for folder in [path, *path.parents]):
        if folder.is_symlink():
            target = folder.resolve()
            raise UserError(
                f"{folder}: expected a folder, found a link to {target}: DVC takes no outputs behind a link; put a "
                "folder there, and DVC's cache on the other disk: "
                f"dvc cache dir {target}; dvc config cache.type symlink"
            )


def remove_drafts(path: str | Path) -> None:
    """Remove what `atomic_path` left beside `path` in a process that was killed. No other may be at work there."""
    for draft in Path(path).parent.glob(f".{Path(path).name}.*"):
        shutil.rmtree(draft, ignore_errors=True)


def write_text(path: str | Path, text: str) -> None:
    with atomic_path(path) as draft:
        draft.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write indented JSON. NaN and infinity are refused: no JSON reader is obliged to know them."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Parse a JSON file; a byte order mark is dropped.

    Raises:
        UserError: The file is missing, cannot be read or is not JSON; the message names file, line and column.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UserError(f"{path}: expected a JSON file, found nothing; run the stage that writes it") from None
    except OSError as error:
        raise UserError(f"{path}: expected a JSON file, found what cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: expected UTF-8 text, found byte {error.start} that is not") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path}:{error.lineno}:{error.colno}: expected JSON, {error.msg}") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, lists within lists
        raise UserError(f"{path}: expected JSON, {error}") from None


def read_object(path: str | Path) -> dict[str, Any]:
    """Parse a JSON file that holds an object.

    Raises:
        UserError: See `read_json`; or it holds something else.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected a JSON object, found {type(value).__name__}")
    return value


def write_jsonl(path: str | Path, rows: Iterable[dict[str, Any]]) -> int:
    """Write one JSON object per line, atomically. Returns the number of rows."""
    count = 0
    with atomic_path(path) as draft, draft.open("w", encoding="utf-8") as stream:
        for row in rows:
            stream.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
            count += 1
    return count


def read_jsonl(path: str | Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON Lines file that Recap itself wrote; blank lines and a byte order mark are skipped.

    For a user's own file, where a bad line costs only itself, see `recap.data.sources`.

    Raises:
        UserError: The file is missing, or a line is not a JSON object; the message names file and line.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: expected a JSON Lines file, found nothing; run the stage that writes it")
    with Path(path).open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            text = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
            if not text.strip():
                continue
            try:
                row = json.loads(text.decode("utf-8"))
            except UnicodeDecodeError as error:
                raise UserError(f"{path}:{number}: expected UTF-8 text, found byte {error.start} that is not") from None
            except json.JSONDecodeError as error:
                raise UserError(f"{path}:{number}: expected a JSON object, {error.msg}") from None
            except (ValueError, RecursionError) as error:  # a number of thousands of digits, lists within lists
                raise UserError(f"{path}:{number}: expected a JSON object, {error}") from None
            if not isinstance(row, dict):
                raise UserError(f"{path}:{number}: expected a JSON object, found {type(row).__name__}")
            yield row


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table for `dvc plots`, spreadsheets and people, in place; wrap it in `atomic_path`.

    Numbers stay what they are. A text that a spreadsheet would compute gets an apostrophe (`defused`), and `<` becomes
    `‹`: DVC puts the table into a script of its page as it is, where a word with `</script>` would begin another one.
    """
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(
            [spelt_out(defused(cell)).replace("<", "‹") if isinstance(cell, str) else cell for cell in row]
            for row in rows
        )


def defused(cell: str) -> str:
    """A text of others for a cell of a CSV file: one that a spreadsheet would compute begins with an apostrophe.

    "=HYPERLINK(...)" becomes "'=HYPERLINK(...)"; "-5" and "+1.5e3" are numbers and stay.
    """
    return f"'{cell}" if cell.startswith(FORMULA_STARTS) and not _is_number(cell) else cell


def _is_number(cell: str) -> bool:
    return re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", cell, re.IGNORECASE | re.ASCII) is not None


def write_metrics(path: str | Path, subject: str, values: dict[str, Any]) -> None:
    """Write `{subject: values}` as JSON: floats rounded to `DECIMALS` so that diffs stay readable.

    Args:
        subject: The file's top key, for example "textvqa"; it keeps the columns of `dvc exp show` unique.
        values: Numbers, strings and nested dicts of them; None where a number does not exist.

    Raises:
        ValueError: A number is NaN or infinite.
    """
    write_json(path, {subject: _rounded(values, subject)})


def write_results(
    metrics: str | Path, details: str | Path, subject: str, values: dict[str, Any], *, headline: Collection[str]
) -> None:
    """Write a stage's numbers to two files: the few that everybody asks for, and all others.

    `dvc metrics` shows the first file of every stage, which has to fit a screen. Together the two hold `values`, and no
    value stands in both.

    Args:
        metrics: The file in Git.
        details: The file in DVC's cache.
        subject: The top key of both files.
        values: As for `write_metrics`.
        headline: Dotted names of the values that go to `metrics`: "accuracy", "after.mattr".

    Raises:
        KeyError: `headline` names what is not there.
        ValueError: A number is NaN or infinite.
    """
    few, rest = _split(values, set(headline), subject)
    write_metrics(metrics, subject, few)
    write_metrics(details, subject, rest)


def _split(values: dict[str, Any], headline: set[str], where: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the dotted names select and what they leave, both in the order of `values`."""
    missing = {name for name in headline if name.split(".", 1)[0] not in values}
    if missing:
        raise KeyError(f"{sorted(missing)} of the headline are not among {list(values)} of {where}")
    few: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    for key, value in values.items():
        below = {name.removeprefix(f"{key}.") for name in headline if name.startswith(f"{key}.")}
        if key in headline:
            few[key] = value
        elif below:
            few[key], left = _split(value, below, f"{where}.{key}")
            rest |= {key: left} if left else {}
        else:
            rest[key] = value
    return few, rest


def _rounded(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item, f"{name}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item, f"{name}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"metric {name} is {value}; write None where a number does not exist")
        return round(value, DECIMALS)
    return value
