"""The files of a source that is a folder."""

import codecs
import logging
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from recap.data.formats.rows import RawRow
from recap.runtime.errors import UserError
from recap.runtime.faults import Fault

logger = logging.getLogger(__name__)

# The reason that names a file, and not a row.
BROKEN_FILE = "broken_file"

# Lies beside a corpus that is a user's folder itself, and holds questions.
BENCHMARKS_FOLDER = "benchmarks"

# Splits that nobody trains on, as hubs name files or folders.
_OTHER_SPLIT = re.compile(r"(test|testdev|validation|valid|val|dev)(?![a-z])", re.IGNORECASE)
_TRAINING_SPLIT = re.compile(r"train(?![a-z])", re.IGNORECASE)


def files_below(folder: Path) -> Iterator[Path]:
    """All files, folder by folder in the order of names; hidden ones and benchmarks are left out."""
    for place, below, names in os.walk(folder):
        hidden = [name for name in below if name.startswith(".")]
        below[:] = sorted(set(below) - set(hidden) - ({BENCHMARKS_FOLDER} if Path(place) == folder else set()))
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(place) / name


def shards(path: Path, belongs: Callable[[Path], bool]) -> list[tuple[str, Path]]:
    """The file itself, or those of a folder that belong to the source, each with what it is called in the source.

    Where the folder has a split for training beside others, the others are not read, and a warning says so.
    """
    if not path.is_dir():
        return [(path.name, path)]
    found = [(file.relative_to(path).as_posix(), file) for file in files_below(path) if belongs(file)]
    if any(_is_split(name, _TRAINING_SPLIT) for name, _ in found):
        others = [name for name, _ in found if _is_split(name, _OTHER_SPLIT)]
        if others:
            logger.warning(
                "warning: %s: %s is no split for training; not read: %d file(s)", path, others[0], len(others)
            )
        found = [(name, file) for name, file in found if name not in others]
    return found


def read_shards(
    path: Path, belongs: Callable[[Path], bool], read: Callable[[str, Path], Iterator[RawRow | Fault]]
) -> Iterator[RawRow | Fault]:
    """The rows of the file itself, or of those of a folder that belong to the source.

    Of a damaged file among others the rows before the damage are taken; a rejection stands for all behind it.

    Args:
        path: The file or the folder.
        belongs: Which files belong.
        read: Reads one, given what it is called in the source.

    Raises:
        UserError: The only file is damaged.
    """
    files = shards(path, belongs)
    for name, file in files:
        try:
            yield from read(name, file)
        except UserError as error:
            if len(files) == 1:
                raise
            yield Fault(name, None, BROKEN_FILE, f"{error}; the rows from there on are lost")


def refuse_utf_16(path: Path) -> None:
    """Raises: UserError: The text is UTF-16, as Windows writes it."""
    with path.open("rb") as stream:
        head = stream.read(4)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UserError(f"{path}: expected UTF-8, found UTF-16; save it as UTF-8 (a table as 'CSV UTF-8')")


def refuse_repeated(path: Path, columns: Iterable[str]) -> None:
    """Raises: UserError: A table has two columns of one name, of which rows could show one only."""
    repeated = [name for name, times in Counter(columns).items() if times > 1 and name]
    if repeated:
        raise UserError(f"{path}: expected columns of different names, found {repeated[0]!r:.80} twice; rename one")


def _is_split(name: str, split: re.Pattern[str]) -> bool:
    return any(split.match(part) for part in name.split("/"))
