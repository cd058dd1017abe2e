"""A corpus on disk: pictures in a few tar files, and one Parquet index with a row per sample.

    data/corpus/shard-00000.tar ...   WebDataset: pictures as they came, each with its row as JSON beside it
    data/corpus/index.parquet         what each sample is, and where its picture lies: see `SCHEMA`
    data/corpus/rejected.jsonl        rows that could not be used, each with its reason

The pictures of the finetune set and of a benchmark lie so too; their rows do not: there a sample is a picture, called
after itself.

A few large files, because DVC hashes, links and pushes files one by one; an index, because a stage wants one picture
out of the middle, or none at all.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow
from pyarrow import parquet

from recap.runtime.errors import UserError, one_line

INDEX = "index.parquet"

SCHEMA = pyarrow.schema(
    [
        ("id", pyarrow.string()),
        ("image", pyarrow.string()),  # the picture's name, by which every later stage asks for it
        ("caption", pyarrow.string()),
        # A file beside the index; or, of pictures that were not copied, the user's own; null where they lie in a table.
        ("shard", pyarrow.string()),
        ("offset", pyarrow.int64()),  # bytes into the shard
        ("length", pyarrow.int64()),  # bytes of the picture
        ("digest", pyarrow.string()),  # of the picture's bytes, see `digest_of`
        ("width", pyarrow.int32()),  # pixels, upright
        ("height", pyarrow.int32()),
        ("format", pyarrow.string()),  # Pillow's name: "JPEG"
        ("mode", pyarrow.string()),  # Pillow's, in the file: "RGB", "L", "P"
        ("orientation", pyarrow.int8()),  # EXIF's, 1 to 8; 1 where the file has none
        ("brightness", pyarrow.float32()),  # mean of the grey picture, 0 to 255
        ("phash", pyarrow.string()),  # perceptual hash, 16 hexadecimal digits
        ("fields", pyarrow.string()),  # the user's further fields, a JSON object
    ]
)


def digest_of(content: bytes) -> str:
    """BLAKE2b of a picture's bytes, 32 hexadecimal digits: equal digests mean the same picture."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


@dataclass(frozen=True)
class Place:
    """Where a picture lies.

    Attributes:
        file: The tar, or the user's own file.
        offset: Of its first byte.
        length: In bytes.
        digest: See `digest_of`.
        referenced: Whether the file is the user's own, which may change.
    """

    file: Path
    offset: int
    length: int
    digest: str
    referenced: bool


class CorpusIndex:
    """The pictures of a corpus by name.

    Args:
        folder: With an `index.parquet`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        columns = ["image", "shard", "offset", "length", "digest"]
        self._table = parquet.read_table(folder / INDEX, columns=columns).combine_chunks()
        self._rows: dict[str, int] = {}
        for row, name in enumerate(self._table["image"].to_pylist()):
            self._rows.setdefault(name, row)

    @property
    def names(self) -> list[str]:
        """The names of the pictures, in the order of their first rows."""
        return list(self._rows)

    @property
    def digests(self) -> dict[str, str | None]:
        """The pictures' digests by name, in that order; None where there is no picture of the name."""
        digests = self._table["digest"].to_pylist()
        return {name: digests[row] for name, row in self._rows.items()}

    def place(self, name: str) -> Place | None:
        """Where the picture of this name lies; None if there is none."""
        if (row := self._rows.get(name)) is None or self._table["shard"][row].as_py() is None:
            return None
        shard, offset, length, digest = (
            self._table[column][row].as_py() for column in ("shard", "offset", "length", "digest")
        )
        # A shard's name is relative to the index, a user's file has its whole path.
        return Place(self.folder / shard, offset, length, digest, referenced=Path(shard).is_absolute())


def read_place(place: Place) -> bytes:
    """A picture's bytes.

    Raises:
        OSError: Its file is gone or cannot be read.
    """
    with place.file.open("rb") as stream:
        stream.seek(place.offset)
        return stream.read(place.length)


def index_of(folder: str | Path) -> CorpusIndex | None:
    """The index in a folder, read once for all who ask; None where pictures are files of their own."""
    path = Path(folder) / INDEX
    try:
        changed = path.stat().st_mtime_ns
    except FileNotFoundError:
        return None
    return _cached(path.parent, changed)


@lru_cache(maxsize=4)
def _cached(folder: Path, _changed: int) -> CorpusIndex:
    return CorpusIndex(folder)


def index_rows(path: str | Path, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of an index in order, some thousands in memory at a time; `fields` is parsed.

    Raises:
        UserError: There is no index, or it is damaged.
    """
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=columns):
                for row in batch.to_pylist():
                    if "fields" in row:
                        row["fields"] = json.loads(row["fields"])
                    yield row
    except FileNotFoundError:
        raise UserError(f"{path}: expected a corpus's index, found nothing; run prepare") from None
    except pyarrow.ArrowInvalid as error:
        raise UserError(f"{path}: expected a corpus's index: {error}; run prepare") from None


def index_table(path: str | Path, columns: Sequence[str]) -> pyarrow.Table:
    """Some columns of an index, of all its rows.

    Raises:
        UserError: There is no index, it is damaged, or it lacks a column.
    """
    wanted = f"{path}: expected an index with {', '.join(columns)}"
    try:
        return parquet.read_table(path, columns=list(columns))
    except FileNotFoundError:
        raise UserError(f"{wanted}, found nothing; rerun prepare") from None
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise UserError(f"{wanted}; rerun prepare ({one_line(error, 200)})") from None
