"""A folder with three pictures, two of them in `images/`, and short ways to write rows in each format."""

import csv
import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
from PIL import Image

from recap.data.formats.samples import Sample
from recap.data.formats.source import Source, open_source
from recap.runtime.faults import Fault


def picture(colour: int, format: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8, 6), (colour % 256, 30, 40)).save(stream, format)
    return stream.getvalue()


class Folder:
    def __init__(self, path: Path) -> None:
        self.path = path
        for number, name in enumerate(("images/a.png", "images/b.png", "c.png")):
            self.binary(name, picture(number))

    def binary(self, name: str, content: bytes) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def text(self, name: str, content: str) -> Path:
        return self.binary(name, content.encode())

    def json(self, name: str, value: Any) -> Path:
        return self.text(name, json.dumps(value))

    def lines(self, name: str, rows: Iterable[Any]) -> Path:
        return self.text(name, "".join(json.dumps(row) + "\n" for row in rows))

    def csv(self, name: str, rows: Iterable[Iterable[Any]], delimiter: str = ",") -> Path:
        stream = io.StringIO()
        csv.writer(stream, delimiter=delimiter).writerows(rows)
        return self.text(name, stream.getvalue())

    def table(self, name: str, rows: list[dict[str, Any]], row_group_size: int | None = None) -> Path:
        """Rows with the same keys, in the format that the suffix of `name` says."""
        match Path(name).suffix:
            case ".jsonl":
                return self.lines(name, rows)
            case ".json":
                return self.json(name, rows)
            case ".csv":
                return self.csv(name, [list(rows[0]), *[row.values() for row in rows]])
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), self.path / name, row_group_size=row_group_size)
        return self.path / name

    def tar(self, name: str, members: dict[str, bytes | str], mode: str = "w") -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(path, mode) as tar:
            for member, content in members.items():
                data = content.encode() if isinstance(content, str) else content
                info = tarfile.TarInfo(member)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        return path


def read(path: Path | Source, **how: Any) -> tuple[list[Sample], list[Fault]]:
    """All rows of a source: the good ones, the rejected ones."""
    rows = list(path if isinstance(path, Source) else open_source(path, **how))
    return [row for row in rows if isinstance(row, Sample)], [row for row in rows if isinstance(row, Fault)]
