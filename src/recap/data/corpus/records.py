"""The two row formats that stages exchange: image-caption pairs in Data-Juicer's form, conversations in LLaVA's.

A corpus row is `{"id": str, "text": "<__dj__image> CAPTION <|__dj__eoc|>", "images": ["images/x.jpg"]}`, its image
path relative to the corpus folder. Markers after data_juicer/utils/mm_utils.py (SpecialTokens) of py-data-juicer.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recap.data.corpus.index import index_rows
from recap.io import read_json, read_jsonl
from recap.runtime.errors import UserError

IMAGE_MARKER = "<__dj__image>"
END_MARKER = "<|__dj__eoc|>"

_MARKERS = re.compile(r"\s*(?:<__dj__\w+>|<\|__dj__\w+\|>)\s*")


def caption_of(text: str) -> str:
    """The caption inside a Data-Juicer text: every marker removed, no blank at either end."""
    return _MARKERS.sub(" ", text).strip()


def dj_text(caption: str) -> str:
    """The Data-Juicer text of a caption of one image: `caption_of(dj_text(c)) == c` for a stripped caption."""
    return f"{IMAGE_MARKER} {caption} {END_MARKER}"


@dataclass(frozen=True)
class Record:
    """One image-caption pair.

    Attributes:
        id: Unique in its corpus.
        image: The picture's name in the corpus, see `recap.data.corpus.index`.
        caption: Without markers.
        fields: What else the user's row said.
    """

    id: str
    image: str
    caption: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    def to_row(self) -> dict[str, Any]:
        return {"id": self.id, "text": dj_text(self.caption), "images": [self.image]}

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> "Record":
        """Read a row that Recap wrote; keys beyond id, text and images are left alone.

        Raises:
            KeyError, IndexError: The row lacks one of the three, or has no image.
        """
        return cls(id=row["id"], image=row["images"][0], caption=caption_of(row["text"]))


def read_corpus(path: str | Path) -> list[Record]:
    """Read a corpus that Recap wrote (`data/corpus/index.parquet`, `data/processed/train.jsonl`), in file order.

    Raises:
        UserError: The file is missing, or a row is not a pair; the message names file and row.
    """
    if Path(path).suffix == ".parquet":
        return [Record(**row) for row in index_rows(path, ["id", "image", "caption", "fields"])]
    records = []
    for number, row in enumerate(read_jsonl(path), start=1):
        try:
            records.append(Record.from_row(row))
        except (KeyError, IndexError, TypeError):
            found = ", ".join(row) or "nothing"
            raise UserError(
                f"{path}: row {number}: expected id, text and one image, found {found}; run the stage that writes it"
            ) from None
    return records


def read_conversations(path: str | Path) -> list[dict[str, Any]]:
    """Read LLaVA conversations: `[{"id", "image" (optional), "conversations": [{"from", "value"}, ...]}, ...]`.

    Raises:
        UserError: The file is missing, is not JSON, or is not a list of such objects.
    """
    rows = read_json(path)
    if not isinstance(rows, list):
        raise UserError(f"{path}: expected a list of conversations, found {type(rows).__name__}")
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict) or not isinstance(row.get("conversations"), list):
            raise UserError(f"{path}: item {number}: expected an object with a list of conversations")
    return rows
