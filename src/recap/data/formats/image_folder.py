"""A folder of images, each with its caption in a .txt or its row in a .json beside it."""

from collections.abc import Iterator
from pathlib import Path

from recap.data.corpus.references import SUFFIXES
from recap.data.formats.files import files_below
from recap.data.formats.rows import RawRow
from recap.data.sources.fields import BadRow, parse_object
from recap.runtime.faults import Fault


def is_image(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES


def read_image_folder(path: Path) -> Iterator[RawRow | Fault]:
    """A row per image, in the order of folders and names; paths are relative to the folder."""
    for file in files_below(path):
        if not is_image(file):
            continue
        where = file.relative_to(path).as_posix()
        try:
            yield _row(where, file)
        except BadRow as error:
            yield error.at(where)


def _row(where: str, image: Path) -> RawRow:
    text, described = image.with_suffix(".txt"), image.with_suffix(".json")
    values = parse_object(described.read_bytes().removeprefix(b"\xef\xbb\xbf")) if described.is_file() else {}
    caption = text.read_text("utf-8-sig", errors="surrogateescape") if text.is_file() else None
    if caption is None and not values:
        raise BadRow("missing_text", f"expected {text.name} or {described.name} beside it, found neither")
    return RawRow(where, values, caption=caption, image=where)
