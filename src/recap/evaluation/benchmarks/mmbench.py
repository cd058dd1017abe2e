"""MMBench dev (Liu et al. 2023, 2307.06281): multiple choice, each question under every rotation of its options.

File: `mmbench_dev.tsv` with images in base64; rotations of a question are rows of their own, at its index plus
multiples of 1,000,000. Read as text throughout: an option may well be called "None" or "01".
"""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recap.evaluation.benchmarks.base import Benchmark
from recap.evaluation.benchmarks.questions import DATA_URI, Question
from recap.runtime.errors import UserError

TSV = "mmbench_dev.tsv"
INSTRUCTION = "Answer with the option's letter from the given choices directly."
# A shorter image cell is the index of the row whose image to use again.
MAX_REFERENCE_CHARS = 64
LETTERS = ("A", "B", "C", "D")
# Rotation k of question i stands in row i + k * 1,000,000.
ROTATION_STRIDE = 1_000_000
REQUIRED = ("index", "question", "A", "B", "answer", "image")


class MMBench(Benchmark):
    """One `Question` per row, so one per rotation."""

    name = "mmbench"

    def read(self, folder: Path, *, ocr_tokens: bool) -> list[Question]:
        rows = _read_tsv(folder / TSV)
        cells = {row["index"]: row["image"] for row in rows}
        first_with: dict[str, str] = {}
        questions = []
        for row in rows:
            reference = len(row["image"]) <= MAX_REFERENCE_CHARS
            image = cells.get(row["image"], "") if reference else row["image"]
            questions.append(_question(row, image, first_with.setdefault(image, row["index"])))
        return questions


def present_options(row: Mapping[str, Any]) -> dict[str, str]:
    """The options that a row has: letter to text. An absent option is empty or None; the text "None" is an option."""
    return {letter: str(row[letter]) for letter in LETTERS if row.get(letter) not in (None, "")}


def base_index(row: Mapping[str, Any]) -> int:
    """The index of the question that a row is a rotation of."""
    return int(row.get("g_index") or int(row["index"]) % ROTATION_STRIDE)


def _read_tsv(path: Path) -> list[dict[str, str]]:
    csv.field_size_limit(2**31 - 1)  # an image is longer than the default 128 KiB
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream, delimiter="\t", restval=""))
    except FileNotFoundError:
        raise UserError(f"{path}: expected MMBench's TSV, found nothing") from None
    except csv.Error as error:
        raise UserError(f"{path}: expected MMBench's TSV, {error}") from None
    missing = [name for name in REQUIRED if rows and name not in rows[0]]
    if missing:
        raise UserError(f"{path}: expected the columns {', '.join(REQUIRED)}, found none called {', '.join(missing)}")
    indices = {int(row["index"]) for row in rows}
    for row in rows:
        if base_index(row) not in indices:
            raise UserError(f"{path}: row {row['index']} is a rotation of {base_index(row)}, which is missing")
        if row["answer"] not in present_options(row):
            raise UserError(f"{path}: row {row['index']}: expected an option's letter, found answer {row['answer']!r}")
    return rows


def _question(row: dict[str, str], image: str, image_id: str) -> Question:
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
        groups={name.replace("-", "_"): row[name] for name in ("l2-category", "category") if row.get(name)},
        row={name: value for name, value in row.items() if name != "image"},
    )
