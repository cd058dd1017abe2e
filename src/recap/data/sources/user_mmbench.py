"""A user's MMBench TSV into `data/benchmarks/mmbench/`.

A question is scored on all rotations of its options together, so one faulty row costs its whole group: a group with
rotations missing would be easier than it should be.
"""

import base64
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from recap.data.benchmarks.mmbench import (
    REQUIRED,
    ROTATION_STRIDE,
    Line,
    MMBench,
    Row,
    base_index,
    holds_image,
    present_options,
    read_lines,
    rotations_missing,
    write_table,
)
from recap.data.corpus.images import BadImage
from recap.data.formats.fields import BadRow, is_index
from recap.data.formats.samples import Sample
from recap.data.sources.pictures import DEFAULT_TERMS, Terms, pack_pictures, picture
from recap.data.sources.rejections import Budget, Part
from recap.runtime.faults import Fault

logger = logging.getLogger(__name__)


def take_mmbench(benchmark: MMBench, tsv: Path, folder: Path, terms: Terms = DEFAULT_TERMS) -> Part:
    """Copy the groups of rows whose every row is usable.

    Args:
        benchmark: Says how its file is called.
        tsv: MMBench's columns; `image` is base64, or the index of the row whose image to use (64 characters at most).
        folder: Gets the TSV under its official name, with the pictures in it, and an index that describes these.
        terms: How they are taken.

    Raises:
        UserError: A column is missing, or the file is no TSV.
    """
    columns, lines = read_lines(tsv, REQUIRED)
    pictures = {line.row["index"]: line.row["image"] for line in lines if holds_image(line.row)}
    faults = _faults(lines, pictures)
    sound = [line for line in lines if _group(line.row) not in faults]
    # A picture is called after the first row that shows it, as `MMBench.read` calls it.
    names: dict[str, str] = {}
    shown = {line.number: names.setdefault(pictures[_source(line.row, pictures)], line.row["index"]) for line in sound}
    # A group that shows several pictures is counted with its first one: it is rejected once.
    first_of_group: dict[str, str] = {}
    for line in sound:
        first_of_group.setdefault(_group(line.row), shown[line.number])
    rows_of = Counter(first_of_group[_group(line.row)] for line in sound)
    budget = Budget(terms.max_rejected, len(lines), rejected=len(lines) - len(sound), rows_of=rows_of)
    wanted = (_picture(name, content) for content, name in names.items())
    broken = pack_pictures(
        wanted, tsv.parent, folder, what=benchmark.name, terms=terms, budget=budget, images="describe"
    )
    for line in sound:
        if (found := broken.get(shown[line.number])) is not None:
            faults.setdefault(_group(line.row), found.at(f"line {line.number}"))
    kept = [line.row for line in lines if _group(line.row) not in faults]
    rejections = _rejections(tsv, lines, faults)
    if budget.is_overdrawn():
        return Part("user", 0, rejections, unread=len(kept))
    _tell_of_rotations(tsv, kept)
    write_table(folder / benchmark.questions_files[0], columns, _with_own_pictures(kept, pictures))
    return Part("user", len(kept), rejections)


def _faults(lines: Sequence[Line], pictures: dict[str, str]) -> dict[str, Fault]:
    """What is wrong with the first faulty row of each group, pictures aside."""
    faults: dict[str, Fault] = {}
    seen: set[str] = set()
    indices = {int(line.row["index"]) for line in lines if is_index(line.row["index"])}
    for line in lines:
        try:
            if line.fault is not None:
                raise BadRow("broken_row", line.fault)
            _check(line.row, seen, indices, pictures)
        except (BadRow, BadImage) as error:
            faults.setdefault(_group(line.row), error.at(f"line {line.number}"))
        seen.add(line.row["index"])
    return faults


def _rejections(tsv: Path, lines: Sequence[Line], faults: dict[str, Fault]) -> list[Fault]:
    """Every row of the groups that have a fault, each with its group's."""
    return [
        Fault(
            f"{tsv.name}:row {line.number}", line.row["index"] or None, fault.reason, f"{fault.where}: {fault.detail}"
        )
        for line in lines
        if (fault := faults.get(_group(line.row))) is not None
    ]


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


def _source(row: Row, pictures: dict[str, str]) -> str:
    """The index of the row that holds a row's picture."""
    return row["index"] if row["index"] in pictures else row["image"]


def _check(row: Row, seen: set[str], indices: set[int], pictures: dict[str, str]) -> None:
    """Check one row but for its picture.

    Raises:
        BadRow, BadImage: The first fault that is found.
    """
    index = row["index"]
    if not is_index(index):
        raise BadRow("missing_id", f"expected 'index' to be a whole number, found {index!r:.80}")
    if row.get("g_index") and not is_index(row["g_index"]):
        raise BadRow("missing_id", f"expected 'g_index' to be a whole number, found {row['g_index']!r:.80}")
    if index in seen:
        raise BadRow("duplicate_id", f"an earlier row has index {index}")
    if (base := base_index(row)) not in indices:
        raise BadRow("broken_question", f"expected a row {base}, which this one is a rotation of, found none")
    options = list(present_options(row))
    if not row["question"].strip() or len(options) < 2:
        raise BadRow("broken_question", f"expected a question and two options or more, found {len(options)} options")
    if row["answer"] not in options:
        raise BadRow("broken_answers", f"expected the answer to be one of {options}, found {row['answer']!r:.80}")
    if _source(row, pictures) not in pictures:
        raise BadImage("missing_image", f"expected base64 or the index of a row that has it, found {row['image']!r}")


def _picture(name: str, content: str) -> Sample | Fault:
    where = f"row {name}"
    try:
        return picture(name, where, content=base64.b64decode(content))
    except ValueError as error:
        return Fault(where, name, "broken_image", f"the picture inside {where}: expected base64, {error}")


def _with_own_pictures(rows: list[Row], pictures: dict[str, str]) -> list[Row]:
    """Give a row that shares the picture of a row that was left out that picture itself."""
    there = {row["index"] for row in rows}
    return [
        row if row["index"] in pictures or row["image"] in there else {**row, "image": pictures[row["image"]]}
        for row in rows
    ]
