"""WebDataset: tars in which files of one stem are one sample, `000017.jpg`, `000017.txt`, `000017.json`."""

import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from recap.data.formats.files import shards
from recap.data.formats.rows import RawRow
from recap.data.sources.fields import BadRow, parse_object
from recap.data.sources.pictures import SUFFIXES
from recap.data.sources.rejections import Rejection
from recap.runtime.errors import UserError

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")

# Extensions that hold a caption, the first one counts.
_CAPTIONS = ("txt", "caption", "text")


def is_tar(path: Path) -> bool:
    return path.name.lower().endswith(TAR_SUFFIXES)


def read_webdataset(path: Path) -> Iterator[RawRow | Rejection]:
    """The samples of a tar, or of all tars of a folder.

    Raises:
        UserError: A tar is truncated or is none.
    """
    # It imports PyTorch, seconds that who reads another format need not wait.
    from webdataset.tariterators import group_by_keys, tar_file_expander

    for name, file in shards(path, is_tar):
        try:
            with file.open("rb") as stream:
                # Each picture is read when its sample comes, none is extracted to the disk.
                members = tar_file_expander([{"url": name, "stream": stream}], handler=_stop)
                for sample in group_by_keys(members, handler=_stop):
                    yield _row(f"{name}:{sample['__key__']}", sample)
        except (tarfile.TarError, OSError, EOFError, ValueError, TypeError, zlib.error) as error:
            # webdataset puts the stream behind what went wrong.
            found = str(error.args[0] if error.args else error).partition(" @ ")[0]
            raise UserError(f"{file}: expected a whole tar of samples, found: {' '.join(found.split())}") from None


def _stop(error: Exception) -> bool:
    raise error


def _row(where: str, sample: dict[str, Any]) -> RawRow | Rejection:
    members = {name: data for name, data in sample.items() if not name.startswith("__") and isinstance(data, bytes)}
    try:
        values = parse_object(members.pop("json")) if "json" in members else {}
    except BadRow as fault:
        return Rejection(where, None, fault.reason, fault.detail)
    images = [name for name in members if f".{name.rpartition('.')[2]}" in SUFFIXES]
    if len(images) > 1:
        return Rejection(where, None, "several_images", f"expected one image, found {', '.join(images)}")
    # The member is called like the sample; what the picture itself is called can stand in the row.
    image = {"bytes": members.pop(images[0]), "path": values.pop("image", None)} if images else None
    said = next((members.pop(name) for name in _CAPTIONS if name in members), None)
    for name, data in members.items():
        values.setdefault(name, _text(data))
    return RawRow(where, values, caption=None if said is None else _text(said), image=image)


def _text(data: bytes) -> str:
    return data.decode("utf-8-sig", errors="surrogateescape")
