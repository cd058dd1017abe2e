"""A folder of images, each with its caption in a .txt or its row in a .json beside it."""

import codecs
from collections.abc import Iterator
from pathlib import Path

from recap.data.corpus.references import SUFFIXES
from recap.data.formats.fields import BadRow, parse_object
from recap.data.formats.files import files_below
from recap.data.formats.pictures import MAX_FILE
from recap.data.formats.rows import RawRow
from recap.runtime.faults import Fault

# Of the file beside an image: its caption alone, and its row.
CAPTION, ROW = ".txt", ".json"


def is_image(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES


def is_description(file: Path) -> bool:
    """Whether it tells of the image beside it, if there is one."""
    return file.suffix.lower() in (CAPTION, ROW)


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
    text, described = _beside(image, CAPTION), _beside(image, ROW)
    values = parse_object(described.removeprefix(codecs.BOM_UTF8)) if described is not None else {}
    caption = text.decode("utf-8-sig", errors="surrogateescape") if text is not None else None
    if caption is None and not values:
        names = " or ".join(image.with_suffix(suffix).name for suffix in (CAPTION, ROW))
        raise BadRow("missing_text", f"expected {names} beside it, found neither")
    return RawRow(where, values, caption=caption, image=where)


def _beside(image: Path, suffix: str) -> bytes | None:
    """What the file of an image's stem holds, if there is one; cameras and old systems write suffixes in capitals."""
    files = (image.with_suffix(spelt) for spelt in (suffix, suffix.upper()))
    file = next((file for file in files if file.is_file()), None)
    try:
        if file is not None and file.stat().st_size > MAX_FILE:
            raise BadRow("missing_text", f"{file.name}: expected at most {MAX_FILE} bytes, found {file.stat().st_size}")
        return None if file is None else file.read_bytes()
    except OSError as error:
        raise BadRow("missing_text", f"{image.with_suffix(suffix).name}: {error.strerror}") from None
