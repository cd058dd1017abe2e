"""The rows of a corpus with their pictures, as every writer wants them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recap.data.corpus.images import BadImage, locate, stored_image
from recap.data.corpus.index import index_of, index_rows
from recap.data.corpus.records import Record
from recap.io import read_jsonl
from recap.runtime.errors import UserError

_ROW_KEYS = ("id", "text", "images")


@dataclass(frozen=True)
class Pair:
    """A row of a corpus and the bytes of its picture."""

    id: str
    image: str
    caption: str
    fields: dict[str, Any]
    content: bytes


def read_records(rows: Path) -> Iterator[Record]:
    """The rows of `data/processed/train.jsonl` or of `data/corpus/index.parquet`, in order, one at a time.

    Raises:
        UserError: The file is missing, or a row is no pair.
    """
    if rows.suffix == ".parquet":
        for row in index_rows(rows, ["id", "image", "caption", "fields"]):
            yield Record(**row)
        return
    for number, row in enumerate(read_jsonl(rows), start=1):
        try:
            record = Record.from_row(row)
        except (KeyError, IndexError, TypeError):
            found = ", ".join(row) or "nothing"
            raise UserError(f"{rows}: row {number}: expected id, text and one image, found {found}") from None
        fields = {name: value for name, value in row.items() if name not in _ROW_KEYS}
        yield Record(record.id, record.image, record.caption, fields)


def read_pairs(rows: Path, images: Path) -> Iterator[Pair]:
    """The rows with their pictures, from a corpus's shards or from files.

    Raises:
        UserError: See `read_records`; or a picture is not there.
    """
    index = index_of(images)
    for record in read_records(rows):
        try:
            if index is not None:
                content = stored_image(index, record.image)
            else:
                content = locate(images, record.image).read_bytes()
        except (BadImage, OSError) as error:
            raise UserError(
                f"{rows}: id {record.id!r}: {error}; run prepare, or name its folder with --images"
            ) from None
        yield Pair(record.id, record.image, record.caption, dict(record.fields), content)
