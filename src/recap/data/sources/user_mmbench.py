"""A user's MMBench TSV into `data/benchmarks/mmbench/`.

A question is scored on all rotations of its options together, so one faulty row costs its whole group: a group with
rotations missing would be easier than it should be.
"""

import base64
import io
from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

from recap.data.benchmarks.mmbench import (
    REQUIRED,
    MMBench,
    Row,
    base_index,
    holds_image,
    present_options,
    read_table,
    write_table,
)
from recap.data.corpus.images import BadImage, decode_image
from recap.data.sources.fields import BadRow
from recap.data.sources.rejections import Part, Rejection


def take_mmbench(benchmark: MMBench, tsv: Path, folder: Path) -> Part:
    """Copy the groups of rows whose every row is usable.

    Args:
        benchmark: Says how its file is called.
        tsv: MMBench's columns; `image` is base64, or the index of the row whose image to use (64 characters at most).
        folder: Gets the TSV under its official name.

    Raises:
        UserError: A column is missing, or the file is no TSV.
    """
    columns, rows = read_table(tsv, REQUIRED)
    pictures = {row["index"]: row["image"] for row in rows if holds_image(row)}
    broken = {index: fault for index, image in _progress(pictures) if (fault := _image_fault(image)) is not None}
    faults: dict[str, tuple[str, str]] = {}  # group -> reason, and its first faulty row with what is wrong there
    seen: set[str] = set()
    for number, row in enumerate(rows, start=2):
        try:
            _check(row, seen, pictures, broken)
        except (BadRow, BadImage) as fault:
            faults.setdefault(_group(row), (fault.reason, f"row {number}: {fault.detail}"))
        seen.add(row["index"])
    kept = [row for row in rows if _group(row) not in faults]
    rejections = [
        Rejection(f"{tsv.name}:row {number}", row["index"] or None, *faults[_group(row)])
        for number, row in enumerate(rows, start=2)
        if _group(row) in faults
    ]
    write_table(folder / benchmark.questions_files[0], columns, _with_own_pictures(kept, pictures))
    return Part("user", len(kept), rejections)


def _group(row: Row) -> str:
    """The index of the question that a row is a rotation of; the row's own index if it names none."""
    try:
        return str(base_index(row))
    except ValueError:
        return row["index"]


def _check(row: Row, seen: set[str], pictures: dict[str, str], broken: dict[str, BadImage]) -> None:
    """Check one row.

    Raises:
        BadRow, BadImage: The first fault that is found.
    """
    index = row["index"]
    if not index.isdecimal():
        raise BadRow("missing_id", f"expected 'index' to be a whole number, found {index!r:.80}")
    if row.get("g_index") and not row["g_index"].isdecimal():
        raise BadRow("missing_id", f"expected 'g_index' to be a whole number, found {row['g_index']!r:.80}")
    if index in seen:
        raise BadRow("duplicate_id", f"an earlier row has index {index}")
    options = list(present_options(row))
    if not row["question"].strip() or len(options) < 2:
        raise BadRow("broken_question", f"expected a question and two options or more, found {len(options)} options")
    if row["answer"] not in options:
        raise BadRow("broken_answers", f"expected the answer to be one of {options}, found {row['answer']!r:.80}")
    source = index if index in pictures else row["image"]
    if source not in pictures:
        raise BadImage("missing_image", f"expected base64 or the index of a row that has it, found {row['image']!r}")
    if source in broken:
        raise broken[source]


def _image_fault(image: str) -> BadImage | None:
    try:
        decode_image(io.BytesIO(base64.b64decode(image)), "the image")
    except ValueError as error:
        return BadImage("broken_image", f"the image: expected base64, {error}")
    except BadImage as fault:
        return fault
    return None


def _progress(pictures: dict[str, str]) -> Iterable[tuple[str, str]]:
    return tqdm(pictures.items(), desc="mmbench", unit="image")


def _with_own_pictures(rows: list[Row], pictures: dict[str, str]) -> list[Row]:
    """Give a row that shares the picture of a row that was left out that picture itself."""
    there = {row["index"] for row in rows}
    return [
        row if row["index"] in pictures or row["image"] in there else {**row, "image": pictures[row["image"]]}
        for row in rows
    ]
