"""WebDataset: tars in which files of one stem are one sample, `000017.jpg`, `000017.txt`, `000017.json`."""

import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recap.data.corpus.references import SUFFIXES
from recap.data.formats.fields import BadRow, parse_object
from recap.data.formats.files import read_shards
from recap.data.formats.pictures import MAX_FILE
from recap.data.formats.rows import RawRow
from recap.runtime.errors import UserError, one_line
from recap.runtime.faults import Fault

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")

# Extensions that hold a caption, the first one counts.
_CAPTIONS = ("txt", "caption", "text")

# Files about the tar itself, in webdataset's convention, and those that macOS puts beside every file.
_NO_SAMPLE = re.compile(r"__[^/]*__($|/)|(.*/)?(\._[^/]*|\.DS_Store)$", re.DOTALL)


def is_tar(path: Path) -> bool:
    return path.name.lower().endswith(TAR_SUFFIXES)


def read_webdataset(path: Path) -> Iterator[RawRow | Fault]:
    """The samples of a tar, or of all tars of a folder.

    Raises:
        UserError: The only tar is truncated, damaged, or none.
    """
    return read_shards(path, is_tar, _read_tar)


def _read_tar(name: str, file: Path) -> Iterator[RawRow | Fault]:
    # It imports PyTorch, seconds that who reads another format need not wait.
    from webdataset.tariterators import group_by_keys

    doubled: list[str] = []
    nameless: list[Fault] = []

    def note(error: Exception) -> bool:
        doubled.append(str(error.args[0]))
        return True

    try:
        # Each picture is read when its sample comes, none is extracted to the disk.
        with file.open("rb") as stream, tarfile.open(fileobj=stream) as tar:
            for sample in group_by_keys(_members(tar, name, nameless), handler=note):
                yield from nameless
                nameless.clear()
                where = f"{name}:{sample['__key__']}"
                if doubled:
                    yield Fault(where, None, "broken_row", f"expected files of different names, {doubled[0]:.100}")
                    doubled.clear()
                else:
                    yield _row(where, sample)
            yield from nameless
    except (tarfile.TarError, OSError, EOFError, ValueError, TypeError, MemoryError, zlib.error) as error:
        found = one_line(error, 200) if file.stat().st_size else "an empty file"
        raise UserError(f"{file}: expected a whole tar of samples, found: {found}") from None


def _members(tar: tarfile.TarFile, name: str, nameless: list[Fault]) -> Iterator[dict[str, Any]]:
    """The files of a tar as `group_by_keys` wants them.

    Args:
        nameless: Gets those that it would leave out without a word, for their names: a file without an extension, or
            with one that means something to webdataset itself, such as `__bad__`.

    Raises:
        tarfile.ReadError: The tar goes on behind its end: `tarfile`, and with it webdataset's own reader, takes a
            damaged header for the end, and sees the first of several tars in one file.
    """
    from webdataset.tariterators import base_plus_ext

    while (member := tar.next()) is not None:
        stem, extension = base_plus_ext(member.name)
        if not member.isfile() or _NO_SAMPLE.match(member.name):
            pass
        elif stem is None or extension.startswith("__"):
            detail = "expected a file called <sample>.<extension>, as 000017.jpg and 000017.txt"
            nameless.append(Fault(f"{name}:{member.name:.200}", None, "broken_row", detail))
        else:
            content = tar.extractfile(member)
            assert content is not None  # a file has content
            data = content.read() if member.size <= MAX_FILE else _TooLarge(member.size)
            yield {"fname": member.name, "data": data, "__url__": name}
        tar.members = []  # type: ignore[attr-defined] # else every header stays in memory
    tar.fileobj.seek(tar.offset)
    while rest := tar.fileobj.read(tarfile.RECORDSIZE):
        if rest.strip(b"\0"):
            raise tarfile.ReadError(f"no header at byte {tar.offset}")


@dataclass(frozen=True)
class _TooLarge:
    """Stands for a file that was not read."""

    size: int


def _row(where: str, sample: dict[str, Any]) -> RawRow | Fault:
    large = next(((name, data.size) for name, data in sample.items() if isinstance(data, _TooLarge)), None)
    if large is not None:
        detail = f"expected files of at most {MAX_FILE} bytes, found {large[1]} in {large[0]:.80}"
        return Fault(where, None, "broken_row", detail)
    members = {name: data for name, data in sample.items() if not name.startswith("__") and isinstance(data, bytes)}
    try:
        values = parse_object(members.pop("json")) if "json" in members else {}
    except BadRow as error:
        return error.at(where)
    images = [name for name in members if f".{name.rpartition('.')[2]}" in SUFFIXES]
    if len(images) > 1:
        dotted = "; a sample's name ends at its first dot" if all("." in name for name in images) else ""
        return Fault(where, None, "several_images", f"expected one image, found {', '.join(images)}{dotted}")
    # The member is called like the sample; what the picture itself is called can stand in the row.
    image = {"bytes": members.pop(images[0]), "path": values.pop("image", None)} if images else None
    said = next((members.pop(name) for name in _CAPTIONS if name in members), None)
    if said is None:
        captions = [name for name in members if name.rpartition(".")[2] in _CAPTIONS]  # 0.txt, 1.txt
        if len(captions) > 1:
            return Fault(where, None, "several_captions", f"expected one caption, found {', '.join(captions)}")
        said = members.pop(captions[0]) if captions else None
    for name, data in members.items():
        values.setdefault(name, _text(data))
    return RawRow(where, values, caption=None if said is None else _text(said), image=image)


def _text(data: bytes) -> str:
    return data.decode("utf-8-sig", errors="surrogateescape")
