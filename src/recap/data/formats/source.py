"""Open image-caption pairs of any format that `READERS` names, and iterate over them, with one row in memory at a time.

source = open_source("train.csv")
for row in source:              # a Sample, or a Fault with its reason
    ...
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from recap.data.corpus.records import caption_of
from recap.data.formats.arrow import read_parquet, read_saved_dataset
from recap.data.formats.coco import FOLDERS, read_coco
from recap.data.formats.columns import Columns, has_value
from recap.data.formats.detection import METADATA_FILES, detect
from recap.data.formats.fields import BadRow, identifier, text, writable
from recap.data.formats.image_folder import read_image_folder
from recap.data.formats.json_rows import read_json_rows
from recap.data.formats.pictures import Pictures, is_url
from recap.data.formats.rows import RawRow
from recap.data.formats.samples import Sample
from recap.data.formats.tables import read_table
from recap.data.formats.values import Fields
from recap.data.formats.webdataset import read_webdataset
from recap.runtime.errors import UserError
from recap.runtime.faults import Fault, spelt_out

Reader = Callable[[Path], Iterator[RawRow | Fault]]

# Rows whose columns are looked at before anything is read.
FIRST_ROWS = 20


def read_image_table(path: Path) -> Iterator[RawRow | Fault]:
    """The rows of the one table that describes a folder of images."""
    table = next((path / name for name in METADATA_FILES if (path / name).is_file()), None)
    if table is None:
        raise UserError(f"{path}: expected a folder with {' or '.join(METADATA_FILES)}, found none of them")
    return READERS[detect(table) or "json"](table)


# The name of a format, as data.format spells it -> what reads it. docs/DATA.md shows each.
READERS: dict[str, Reader] = {
    "json": read_json_rows,
    "csv": read_table,
    "parquet": read_parquet,
    "webdataset": read_webdataset,
    "image_folder": read_image_folder,
    "image_table": read_image_table,
    "saved_dataset": read_saved_dataset,
    "coco": read_coco,
}


class Source:
    """Image-caption pairs in a format.

    Attributes:
        name: The file's or the folder's name.
        format: A key of `READERS`.
        root: The folder that paths of images are relative to.
        columns: Role (id, caption, image) -> the column that has it in the first rows.
    """

    def __init__(self, path: Path, format: str, root: Path, columns: Mapping[str, str | None] | None) -> None:
        self.name = path.name
        self.format = format
        self.root = root
        self._read = READERS[format]
        self._path = path
        self._columns = Columns(columns)
        first = [row for row in islice(self._read(path), FIRST_ROWS) if isinstance(row, RawRow)]
        self.columns = self._columns.require(first, str(path))
        self._refuse_urls(first)

    def __str__(self) -> str:
        """One line that says how the source is understood."""
        columns = ", ".join(f"{role} from {names}" for role, names in self.columns.items())
        return f"{self.name} read as {self.format}: {columns or 'no row to look at'}"

    def __iter__(self) -> Iterator[Sample | Fault]:
        """The rows in the source's order, each whole or with the reason why not.

        Raises:
            UserError: The source is broken as a whole, from some row on.
        """
        pictures = Pictures(self.root, _image_folders(self._path, self.root, self.format))
        fields = Fields(self.name)
        for row in self._read(self._path):
            yield row if isinstance(row, Fault) else self._pair(row, pictures, fields)

    def _refuse_urls(self, first: list[RawRow]) -> None:
        """Raises: UserError: The rows say where pictures are to be had, and none has one."""
        names = [self._columns.find("image", row.values) for row in first if row.image is None]
        if len(names) == len(first) > 0 and all(
            name is not None and is_url(row.values[name]) for name, row in zip(names, first, strict=True)
        ):
            raise UserError(
                f"{self._path}: expected pictures or paths of files under {names[0]!r}, found URLs in all of the first "
                f"{len(first)} rows; a run downloads nothing: get them with img2dataset, whose WebDataset is read as "
                "it is, or name the column of the paths in data.columns.image"
            )

    def count(self) -> int:
        """How many rows there are: they are all gone through once more, no picture is looked for."""
        return sum(1 for _ in self._read(self._path))

    def _pair(self, row: RawRow, pictures: Pictures, fields: Fields) -> Sample | Fault:
        values = dict(row.values)
        row_id: str | None = None
        try:
            row_id = self._take_id(values) or spelt_out(row.where)
            caption = self._take_caption(row, values)
            image, content = self._take_image(row, values, pictures)
        except BadRow as error:
            return error.at(row.where, row_id)
        except RecursionError:
            return Fault(row.where, row_id, "broken_json", "expected values, found lists within lists too deep to read")
        # A column that could have told, and is empty, is no field of its own.
        told = {name: value for name, value in values.items() if not self._columns.is_usual(name) or has_value(value)}
        return Sample(row.where, row_id, image, caption, fields.keep(told), content)

    def _take_id(self, values: dict[str, Any]) -> str | None:
        name = self._columns.find("id", values)
        value = _text(values.pop(name)) if name is not None else None
        if name is None or not has_value(value):
            return None
        return identifier({name: value}, name)

    def _take_caption(self, row: RawRow, values: dict[str, Any]) -> str:
        if row.caption is not None:
            caption = writable(row.caption, "caption")
        else:
            name = self._columns.find("caption", values) or "text"
            value = values.pop(name, None)
            if isinstance(value, list):
                if len(value) > 1:
                    raise BadRow("several_captions", f"expected one caption, found {len(value)}; give each a row")
                value = value[0] if value else None
            caption = text({name: _text(value)}, name)
        if not (caption := caption_of(caption)):
            raise BadRow("empty_caption", "expected words, found none")
        return caption

    def _take_image(self, row: RawRow, values: dict[str, Any], pictures: Pictures) -> tuple[str, bytes | None]:
        if row.image is not None:
            return pictures.take(row.image, row.where)
        name = self._columns.find("image", values)
        return pictures.take(values.pop(name) if name is not None else None, row.where)


def open_source(
    path: str | Path,
    format: str = "auto",
    columns: Mapping[str, str | None] | None = None,
    root: str | Path | None = None,
) -> Source:
    """Open image-caption pairs and look at the first rows.

    Args:
        path: A file or a folder.
        format: A key of `READERS`, or "auto".
        columns: Role (id, caption, image) -> the name of its column; None, or a role that is None, is guessed.
        root: What the paths of images are relative to: the folder, or the file's folder, if not given.

    Raises:
        UserError: Nothing is there, nothing here reads it, it is broken, or it has no column for captions or images.
    """
    path = Path(path)
    found = detect(path) if format == "auto" else format
    if found not in READERS:
        wanted = f"one of {', '.join(READERS)}"
        raise UserError(
            f"{path}: expected image-caption pairs, {wanted}; found {found or 'none'}; docs/DATA.md shows each"
        )
    base = Path(root) if root is not None else path if path.is_dir() else path.parent
    return Source(path, found, base, columns)


def _text(value: Any) -> Any:
    """A value, text where a table holds it as bytes, which some writers of Parquet do not tell apart."""
    return value.decode("utf-8", errors="surrogateescape") if isinstance(value, bytes) else value


def _image_folders(path: Path, root: Path, format: str) -> tuple[str, ...]:
    """Where below the root paths of images may begin: beside the rows, at the root, or where such data are unpacked."""
    own = path if path.is_dir() else path.parent
    beside = own.relative_to(root).as_posix() if own.is_relative_to(root) else "."
    usual = FOLDERS if format == "coco" else ()
    below = "images" if beside == "." else f"{beside}/images"
    return tuple(dict.fromkeys((beside, ".", below, "images", *usual)))
