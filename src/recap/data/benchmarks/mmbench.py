"""MMBench dev (Liu et al. 2023, 2307.06281): multiple choice, each question under every rotation of its options.

File: `mmbench_dev.tsv` with images in base64. Rotation k of a question shows in column X what column X+k showed; it is
a row of its own, at the question's index plus k million, and its image column holds the index of the row whose picture
it shares (VLMEvalKit@e8e78f05 vlmeval/dataset/image_mcq.py). Read as text throughout: an option may well be called
"None" or "01". A cell that reads "nan" is one that a table's writer found empty.
"""

import base64
import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from recap.data.benchmarks.base import Benchmark
from recap.data.benchmarks.questions import DATA_URI, Question
from recap.io import atomic_path
from recap.runtime.errors import UserError

if TYPE_CHECKING:
    from recap.world.asking import AskedChoice
    from recap.world.street import StreetWorld

INSTRUCTION = "Answer with the option's letter from the given choices directly."
LETTERS = ("A", "B", "C", "D")
CATEGORIES = ("l2-category", "category")
COLUMNS = (
    "index", "question", "hint", *LETTERS, "answer", "category", "image", "source", "l2-category", "comment", "split",
)  # fmt: skip
# What a question cannot be asked without.
REQUIRED = ("index", "question", "A", "B", "answer", "image")
# A shorter image cell is the index of the row whose image to use again.
MAX_REFERENCE_CHARS = 64
# Rotation k of question i stands in row i + k * 1,000,000.
ROTATION_STRIDE = 1_000_000

# What the circular rule comes to where a question stands under one order of its options only.
PLAIN_ACCURACY = "plain accuracy"
# Columns that hold the index of a row.
INDICES = ("index", "g_index", "image")
# An index as pandas writes it where a column has gaps.
_FLOAT = re.compile(r"\d+\.0")

Row = dict[str, str]


class MMBench(Benchmark):
    """One `Question` per row, so one per rotation."""

    name = "mmbench"
    title = "MMBench"
    note = "a question counts as right only if it is under every rotation of its options"
    folder = "mmbench"
    questions_files = (
        "mmbench_dev.tsv",
        "mmbench_dev_20230712.tsv",
        "mmbench_dev_en_20231003.tsv",
        "MMBench_DEV_EN.tsv",
    )
    scoring = "circular"
    metric_groups = ("l2_category",)

    def read(self, folder: Path) -> list[Question]:
        path = folder / self.questions_files[0]
        rows = read_table(path, REQUIRED)[1]
        _check_table(path, rows)
        cells = {row["index"]: row["image"] for row in rows}
        first_with: dict[str, str] = {}
        questions = []
        for row in rows:
            image = row["image"] if holds_image(row) else cells.get(row["image"], "")
            questions.append(_question(row, image, first_with.setdefault(image, row["index"])))
        return questions

    def write(self, world: "StreetWorld", folder: Path) -> int:
        base_rows: list[Row] = []
        rotated_rows: list[Row] = []
        for index, asked in enumerate(tqdm(world.ask_choices(self.name), desc=self.name, unit="question"), start=1):
            options = asked.choice.options
            base_rows.append(_row(index, asked, options, base64.b64encode(world.jpeg(asked.scene)).decode("ascii")))
            rotated_rows += [
                _row(index + k * ROTATION_STRIDE, asked, options[k:] + options[:k], str(index))
                for k in range(1, len(options))
            ]
        rotated_rows.sort(key=lambda row: int(row["index"]))
        write_table(folder / self.questions_files[0], COLUMNS, base_rows + rotated_rows)
        return len(base_rows) + len(rotated_rows)


def present_options(row: Mapping[str, Any]) -> dict[str, str]:
    """The options that a row has: letter to text. An absent option is empty or None; the text "None" is an option."""
    return {letter: str(row[letter]) for letter in LETTERS if row.get(letter) not in (None, "")}


def base_index(row: Mapping[str, Any]) -> int:
    """The index of the question that a row is a rotation of."""
    return int(row.get("g_index") or int(row["index"]) % ROTATION_STRIDE)


def rotations_missing(rows: Iterable[Mapping[str, Any]]) -> int:
    """How many questions do not have a row for each rotation of their options."""
    members: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        members.setdefault(base_index(row), []).append(row)
    return sum(len(group) < len(present_options(group[0])) for group in members.values())


def holds_image(row: Row) -> bool:
    """Whether a row holds an image itself, and not the index of the row that does."""
    return len(row["image"]) > MAX_REFERENCE_CHARS


def read_table(path: Path, required: Sequence[str]) -> tuple[list[str], list[Row]]:
    """Read a TSV of MMBench's kind: its columns, and its rows, each with all of them.

    Raises:
        UserError: It is missing, is no such text, or lacks a required column; or a line is no row.
    """
    columns, rows = read_lines(path, required)
    for line in rows:
        if line.fault is not None:
            raise UserError(f"{path}:{line.number}: {line.fault}")
    return columns, [line.row for line in rows]


def read_columns(path: Path) -> list[str]:
    """The columns of a TSV of MMBench's kind: its first line alone."""
    with path.open(encoding="utf-8-sig", errors="replace") as stream:
        return next(csv.reader([stream.readline()], delimiter="\t"), [])


@dataclass(frozen=True)
class Line:
    """A row of a TSV, the number of the line that it begins in, and what is wrong with the line itself."""

    number: int
    row: Row
    fault: str | None


def read_lines(path: Path, required: Sequence[str]) -> tuple[list[str], list[Line]]:
    """Read a TSV of MMBench's kind, where a line that is no row costs no other.

    A cell that reads "nan", as pandas writes what is absent, is empty, an index of 10.0 is 10, and of a data URI only
    the base64 is kept.

    Raises:
        UserError: It is missing, is no such text, or lacks a required column.
    """
    csv.field_size_limit(2**31 - 1)  # an image is longer than the default 128 KiB
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            lines = stream.readlines()
        columns = next(csv.reader(lines[:1], delimiter="\t"), [])
        missing = [column for column in required if column not in columns]
        if missing:
            raise UserError(f"{path}: expected the columns of MMBench, found no {', '.join(missing)}")
        return columns, list(_rows(lines, columns))
    except FileNotFoundError:
        raise UserError(f"{path}: expected MMBench's TSV, found nothing") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: expected tab-separated UTF-8 text, {error}") from None


def _rows(lines: Sequence[str], columns: Sequence[str]) -> Iterator[Line]:
    start = 1
    while start < len(lines):
        reader = csv.reader((lines[number] for number in range(start, len(lines))), delimiter="\t")
        cells = next(reader, [])
        taken = reader.line_num
        fault = None
        # A quotation mark that opens a cell and is never closed swallows whole rows; it is the fault where one follows.
        if taken > 1 and any(line.count("\t") == len(columns) - 1 for line in lines[start + 1 : start + taken]):
            cells, taken = lines[start].rstrip("\r\n").split("\t"), 1
            fault = "expected a cell that opens with a quotation mark to close with one, found none before the next row"
        elif len(cells) > len(columns) and any(cells[len(columns) :]):
            fault = f"expected {len(columns)} cells, found {len(cells)}"
        if any(cells):
            yield Line(start + 1, _row_of(cells, columns), fault)
        start += taken


def _row_of(cells: Sequence[str], columns: Sequence[str]) -> Row:
    row = dict(zip_longest(columns, cells[: len(columns)], fillvalue=""))
    if (image := row.get("image", "")).startswith("data:"):
        row["image"] = image.partition(",")[2]
    row = {name: "" if cell.strip().lower() == "nan" else cell for name, cell in row.items()}
    return row | {name: row[name].removesuffix(".0") for name in INDICES if _FLOAT.fullmatch(row.get(name, ""))}


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Write a TSV of MMBench's kind."""
    with atomic_path(path) as draft, draft.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _check_table(path: Path, rows: list[Row]) -> None:
    indices = {int(row["index"]) for row in rows}
    for row in rows:
        if base_index(row) not in indices:
            raise UserError(f"{path}: row {row['index']} is a rotation of {base_index(row)}, which is missing")
        if row["answer"] not in present_options(row):
            raise UserError(f"{path}: row {row['index']}: expected an option's letter, found answer {row['answer']!r}")


def _question(row: Row, image: str, image_id: str) -> Question:
    options = present_options(row)
    lines = [
        row.get("hint", ""),
        row["question"],
        *(f"{letter}. {text}" for letter, text in options.items()),
        INSTRUCTION,
    ]
    return Question(
        key=row["index"],
        question_id=int(row["index"]),
        image=DATA_URI + image,
        image_id=image_id,
        question=row["question"],
        text="\n".join(lines if lines[0] else lines[1:]),
        references=(row["answer"],),
        groups={name.replace("-", "_"): row[name] for name in CATEGORIES if row.get(name)},
        row={name: value for name, value in row.items() if name != "image"},
    )


def _row(index: int, asked: "AskedChoice", options: list[str], image: str) -> Row:
    choice = asked.choice
    return {
        "index": str(index),
        "question": choice.question,
        "hint": asked.hint,
        **dict(zip(LETTERS, [*options, "", ""], strict=False)),
        "answer": LETTERS[options.index(choice.options[choice.index])],
        "category": choice.category,
        "image": image,
        "source": "street",
        "l2-category": choice.l2_category,
        "comment": "",
        "split": "dev",
    }
