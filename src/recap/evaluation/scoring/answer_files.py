"""Read answer files: Recap's own, and those of other tools, which name their fields otherwise.

LLaVA writes JSON Lines of `question_id`, `prompt` and `text`. The official results of VQAv2, OK-VQA and TextVQA are a
JSON array of `question_id` and `answer`, GQA's one of `questionId` and `prediction`.
"""

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recap.io import read_json, read_jsonl
from recap.runtime.errors import UserError
from recap.runtime.faults import spelt_out

# Field -> names that it has elsewhere.
OTHER_NAMES = {"question_id": ("questionId",), "text": ("answer", "prediction")}


def read_answers(path: str | Path) -> Iterator[dict[str, Any]]:
    """The rows of an answer file, with LLaVA's names of fields.

    Half of a surrogate pair, which JSON can spell and UTF-8 cannot hold, becomes the six characters that spell it.

    Raises:
        UserError: The file is missing, or neither JSON Lines of objects nor a JSON array of them.
    """
    for row in _items(path) if _is_array(path) else read_jsonl(path):
        for name, others in OTHER_NAMES.items():
            other = next((other for other in others if other in row), None)
            if name not in row and other is not None:
                row[name] = row[other]
        yield {name: spelt_out(value) if isinstance(value, str) else value for name, value in row.items()}


def _is_array(path: str | Path) -> bool:
    if not Path(path).is_file():
        return False  # the reader of lines tells
    with Path(path).open("rb") as stream:
        return stream.read(64).removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"[")


def _items(path: str | Path) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(read_json(path), start=1):
        if not isinstance(row, dict):
            raise UserError(f"{path}: item {number}: expected a JSON object, found {type(row).__name__}")
        yield row
