"""A user's MMBench TSV into `data/benchmarks/mmbench/`.

A question is scored on all rotations of its options together, so one faulty row costs its whole group: a group with
rotations missing would be easier than it should be.
"""

import base64
import io
import logging
from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

from recap.data.benchmarks.mmbench import (
    REQUIRED,
    ROTATION_STRIDE,
    MMBench,
    Row,
    base_index,
    holds_image,
    present_options,
    read_lines,
    rotations_missing,
    write_table,
)
from recap.data.corpus.images import BadImage, decode_image
from recap.data.sources.fields import BadRow
from recap.data.sources.rejections import Part
from recap.runtime.faults import Fault

logger = logging.getLogger(__name__)


def take_mmbench(benchmark: MMBench, tsv: Path, folder: Path) -> Part:
    """Copy the groups of rows whose every row is usable.

    Args:
        benchmark: Says how its file is called.
        tsv: MMBench's columns; `image` is base64, or the index of the row whose image to use (64 characters at most).
        folder: Gets the TSV under its official name.

    Raises:
        UserError: A column is missing, or the file is no TSV.
    """
    columns, lines = read_lines(tsv, REQUIRED)
    rows = [line.row for line in lines]
    pictures = {row["index"]: row["image"] for row in rows if holds_image(row)}
    broken = {index: fault for index, image in _progress(pictures) if (fault := _image_fault(image)) is not None}
    faults: dict[str, tuple[str, str]] = {}  # group -> reason, and its first faulty row with what is wrong there
    seen: set[str] = set()
    for line in lines:
        row = line.row
        try:
            if line.fault is not None:
                raise BadRow("broken_row", line.fault)
            _check(row, seen, pictures, broken)
        except (BadRow, BadImage) as fault:
            faults.setdefault(_group(row), (fault.reason, f"line {line.number}: {fault.detail}"))
        seen.add(row["index"])
    kept = [row for row in rows if _group(row) not in faults]
    rejections = [
        Fault(f"{tsv.name}:row {line.number}", line.row["index"] or None, *faults[_group(line.row)])
        for line in lines
        if _group(line.row) in faults
    ]
    _tell_of_rotations(tsv, kept)
    write_table(folder / benchmark.questions_files[0], columns, _with_own_pictures(kept, pictures))
    return Part("user", len(kept), rejections)


def _tell_of_rotations(tsv: Path, rows: list[Row]) -> None:
    """Say what the score will be where questions do not stand under every rotation of their options."""
    missing, questions = rotations_missing(rows), len({_group(row) for row in rows})
    if missing:
        logger.warning(
            "warning: %s lacks rotations of %d of %d questions: for these MMBench's score is plain accuracy, higher "
            "than the circular one that papers give; rows at index + k * %d make it circular",
            tsv, missing, questions, ROTATION_STRIDE,
        )  # fmt: skip


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
