"""Pack rows and their pictures into shards and an index: each picture read and decoded once, by several processes.

A row is a pair of the corpus, or a picture alone, which rows elsewhere name. A kill costs the shard in hand at most. A
finished shard lies in the scratch folder with its part of the index and a marker, written last, that says which rows of
the source it took; the next start goes on behind them. What is written is the same, byte for byte, however often it was
interrupted.
"""

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

import pyarrow
from pyarrow import parquet
from tqdm import tqdm

import recap
from recap.data.corpus.images import SUFFIX_BY_FORMAT
from recap.data.corpus.index import INDEX, SCHEMA, digest_of
from recap.data.corpus.references import Links
from recap.data.formats.samples import Sample, repeated_id
from recap.data.sources.examination import File, Files, Found, Picture, examined, state_of
from recap.data.sources.rejections import Budget, Part
from recap.data.sources.shards import SHARD_BYTES, ShardWriter, shard_name
from recap.io import read_json, write_json
from recap.params import DataParams
from recap.runtime.faults import Fault
from recap.runtime.scratch import fingerprint

logger = logging.getLogger(__name__)

Images = Literal["copy", "reference"]
Storage = Images | Literal["describe"]

# Of small pictures, or where none is copied, a shard is closed by its rows.
SHARD_ROWS = 2**17

PLACE_COLUMNS = ("shard", "offset", "length")
PICTURE_COLUMNS = tuple(name for name in SCHEMA.names if name not in ("id", "image", "caption", "fields"))


def pack(
    rows: Iterable[Sample | Fault],
    root: Path,
    folder: Path,
    *,
    work: Path | None,
    what: str = "corpus",
    links: Links = "inside",
    images: Storage = "copy",
    budget: Budget | None = None,
    shard_bytes: int = SHARD_BYTES,
    workers: int | None = None,
) -> Part:
    """Write shards and index of the rows whose pictures are sound.

    Args:
        rows: In the source's order.
        root: The folder that pictures' paths start from.
        folder: Gets shards and index.
        work: The scratch folder of this source, these parameters and this code; None where nothing is to be resumed.
        what: What the progress bar and the log call them.
        links: Where symbolic links below `root` may lead, see `recap.data.corpus.references.resolve`.
        images: "copy" puts pictures into the shards; "reference" leaves files where they are: the index points there;
            "describe" is for pictures that lie elsewhere: the index says what they are, and no place.
        budget: What may be rejected. Once it is overdrawn no further row is read, and nothing is put into `folder`.
        shard_bytes: A shard is closed when it has as many.
        workers: Processes that decode; one per CPU if None.

    Returns:
        What became of the rows that were read.
    """
    files = Files(root, links)
    with ExitStack() as stack:
        place = work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        packing = Packing(place, what=what, images=images, shard_bytes=shard_bytes, budget=budget)
        left = packing.resume(iter(rows), files)
        if not packing.is_hopeless:
            bar = stack.enter_context(tqdm(desc=what, unit="row", initial=packing.rows_read))
            for row, found in examined(left, files, packing.known, workers or len(os.sched_getaffinity(0))):
                packing.add(row, found)
                bar.update()
                if packing.is_hopeless:
                    break
        return packing.part if packing.is_hopeless else packing.publish(folder)


class Packing:
    """Rows that are being packed; see `pack`.

    Attributes:
        known: By picture's name, the columns of the index that speak of it, or why it cannot be used.
        rows_read: Rows of the source so far.
    """

    def __init__(self, work: Path, *, what: str, images: Storage, shard_bytes: int, budget: Budget | None) -> None:
        self.known: dict[str, dict[str, Any] | Fault] = {}
        self.rows_read = 0
        self._work, self._what, self._images, self._shard_bytes = work, what, images, shard_bytes
        self._budget = budget
        self._parts = self._samples = 0
        self._rejections: list[Fault] = []
        self._places: dict[str, dict[str, Any]] = {}  # by digest
        self._ids: set[str] = set()
        self._begin_part()

    @property
    def is_hopeless(self) -> bool:
        """Whether more rows are rejected than may be, whatever the others are."""
        return self._budget is not None and self._budget.is_overdrawn(self.rows_read)

    @property
    def part(self) -> Part:
        """What became of the rows so far."""
        return Part("user", self._samples, self._rejections)

    def resume(self, source: Iterator[Sample | Fault], files: Files) -> Iterator[Sample | Fault]:
        """Take up an interrupted run's shards, as far as rows and files are the same; returns the rows left to do."""
        while (marker := self._file("json")).is_file():
            part = read_json(marker)
            rows = list(islice(source, part["rows"]))
            for row in rows:
                self._stamp(row, partial(state_of, files))
            if self._stamps.hexdigest() != part["stamps"]:
                self._forget_parts()
                self._begin_part()
                return chain(rows, source)
            self._adopt(part)
        if self._parts:
            logger.info("%s: going on after %d rows in %d shard(s)", self._what, self.rows_read, self._parts)
        self._begin_part()
        return source

    def add(self, row: Sample | Fault, found: Found | None) -> None:
        """Take a row in; `found` is None where an earlier row has brought the same picture."""
        self.rows_read += 1
        self._rows_of_part += 1
        self._stamp(row, lambda _: found.file if found is not None else None)
        if isinstance(row, Fault):
            self._reject(row)
        elif isinstance(fault := self._judge(row, found), Fault):
            self._reject(fault)
        if self._size() >= self._shard_bytes or self._rows_of_part >= SHARD_ROWS:
            self._close_part()

    def publish(self, folder: Path) -> Part:
        """Put the shards into `folder`, write the index, and say what became of the rows.

        The scratch folder keeps its shards: should another part of the data stop the stage, this one is done.
        """
        if self._rows_of_part:
            self._close_part()
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(self._parts):
            if (shard := self._work / shard_name(number)).is_file():
                _link(shard, folder / shard.name)
        with parquet.ParquetWriter(folder / INDEX, SCHEMA, compression="zstd") as index:
            for number in range(self._parts):
                index.write_table(parquet.read_table(self._file("parquet", number)))
        return self.part

    def _forget_parts(self) -> None:
        """Take up none of the shards from here on: rows of later ones may point into this one."""
        for marker in self._work.glob("shard-*.json"):
            if marker.name >= self._file("json").name:
                marker.unlink()

    def _begin_part(self) -> None:
        self._writer: ShardWriter | None = None
        self._rows: list[dict[str, Any]] = []
        self._rows_of_part = 0
        self._names: set[str] = set()
        self._faults: list[Fault] = []
        self._rejected_before = len(self._rejections)
        self._stamps = hashlib.blake2b(digest_size=16)

    def _close_part(self) -> None:
        """Make what has come together a shard that lasts."""
        if self._writer is not None:
            self._writer.close()
        parquet.write_table(pyarrow.Table.from_pylist(self._rows, SCHEMA), self._file("parquet"))
        rejections = [rejection.to_row() for rejection in self._rejections[self._rejected_before :]]
        faults = [fault.to_row() for fault in self._faults]
        part = {
            "rows": self._rows_of_part,
            "stamps": self._stamps.hexdigest(),
            "rejections": rejections,
            "faults": faults,
        }
        write_json(self._file("json"), part)
        self._parts += 1
        self._begin_part()

    def _adopt(self, part: dict[str, Any]) -> None:
        for row in parquet.read_table(self._file("parquet")).to_pylist():
            self._ids.add(row["id"])
            facts = {name: row[name] for name in PICTURE_COLUMNS}
            self.known.setdefault(row["image"], facts)
            self._places.setdefault(row["digest"], {name: row[name] for name in PLACE_COLUMNS})
            self._samples += 1
        self.known |= {fault["where"]: Fault(**fault) for fault in part["faults"]}
        for row in part["rejections"]:
            self._reject(Fault(**row))
        self.rows_read += part["rows"]
        self._parts += 1
        self._begin_part()

    def _reject(self, rejection: Fault) -> None:
        self._rejections.append(rejection)
        if self._budget is not None:
            self._budget.spend(rejection)

    def _judge(self, row: Sample, found: Found | None) -> Fault | None:
        """Put a row and its picture in their places, unless something is wrong with one of them."""
        if found is not None and isinstance(found.picture, Fault):
            self.known[row.image] = found.picture
            self._faults.append(found.picture)
        if isinstance(fault := self.known.get(row.image), Fault):
            return fault.at(row.where, row.id)
        if row.id in self._ids:
            return repeated_id(row)
        self._ids.add(row.id)
        key = f"{self.rows_read:09d}"
        if found is not None and isinstance(found.picture, Picture):
            self.known[row.image] = self._store(key, found.picture)
        facts = self._columns(row.image)
        told = {"id": row.id, "image": row.image, "caption": row.caption}
        if self._images == "copy":
            self._shard().add_row(key, told | {"fields": row.fields})
        self._rows.append(told | facts | {"fields": json.dumps(row.fields, ensure_ascii=False)})
        self._samples += 1
        return None

    def _columns(self, image: str) -> dict[str, Any]:
        facts = self.known[image]
        assert not isinstance(facts, Fault)
        return facts

    def _store(self, key: str, picture: Picture) -> dict[str, Any]:
        digest = digest_of(picture.content)
        if digest not in self._places:
            place: dict[str, Any]
            if self._images == "describe":
                place = {"shard": None, "offset": None}
            elif self._images == "reference" and picture.path is not None:
                place = {"shard": str(picture.path), "offset": 0}
            else:
                begins = self._shard().add_picture(key, SUFFIX_BY_FORMAT[picture.facts["format"]], picture.content)
                place = {"shard": shard_name(self._parts), "offset": begins}
            self._places[digest] = place | {"length": len(picture.content)}
        return {**self._places[digest], "digest": digest, **picture.facts}

    def _shard(self) -> ShardWriter:
        if self._writer is None:
            self._writer = ShardWriter(self._work / shard_name(self._parts))
        return self._writer

    def _size(self) -> int:
        return self._writer.size if self._writer is not None else 0

    def _stamp(self, row: Sample | Fault, file_of: Callable[[Sample], File]) -> None:
        """Note a row and, of a new picture, its file, so that a later start can tell whether they have changed."""
        told = asdict(row)
        if isinstance(row, Sample):
            if row.content is not None:
                told["content"] = digest_of(row.content)
            if row.image not in self.known and row.image not in self._names:
                told["file"] = file_of(row)
            self._names.add(row.image)
        self._stamps.update(json.dumps(told, default=str).encode() + b"\n")

    def _file(self, suffix: str, number: int | None = None) -> Path:
        return (self._work / shard_name(self._parts if number is None else number)).with_suffix(f".{suffix}")


def _link(file: Path, target: Path) -> None:
    """A second name for a file or, on another disk, a copy of it."""
    try:
        target.hardlink_to(file)
    except OSError:
        shutil.copyfile(file, target)


def resume_key(source: Path, params: DataParams) -> str:
    """Name of the scratch folder: another source, other parameters or other code start afresh.

    What the source holds is not among it, as reading it all would take as long as packing: rows and files are compared
    when a shard is taken up. Nor is the limit of rejections: who raises it goes on where the run stopped.
    """
    chosen = params.model_dump(exclude={"max_rejected"})
    package = Path(recap.__file__).parent
    code = [package / "data" / folder for folder in ("corpus", "formats", "sources")]
    return fingerprint(inputs=[], params={"source": str(source.absolute()), **chosen}, code=code)
