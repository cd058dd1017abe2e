"""The digest of what a model's folder holds, weights in full. It is remembered in the store: 15 GB are read once.

Results are kept under it for ever and by others, so nothing is sampled, as `recap.runtime.scratch.fingerprint` does for
work that one run takes up again.
"""

import hashlib
import logging
import os
import time
from pathlib import Path

from tqdm import tqdm

from recap.runtime.store import Store

log = logging.getLogger(__name__)

# What people read, and no loader.
DOCUMENTS = (".md", ".pdf", ".png", ".jpg", ".dvc")
DOCUMENT_NAMES = ("license", "notice", "readme")

BLOCK = 8 * 2**20
WORTH_TELLING = 10**9
# A file that was just written may be written again with the same date: the clocks of file systems are coarse.
SETTLED_NS = 2 * 10**9


def folder_digest(folder: Path, store: Store) -> str:
    """Digest of the names and bytes of a folder's files, 32 hexadecimal digits.

    Hidden files, documents and Python's caches do not count. A file's own digest is taken from the store where path,
    size, date (in nanoseconds) and inode are as they were; else the file is read, with a progress bar.

    Raises:
        FileNotFoundError: There is no such folder.
    """
    files = {str(path.relative_to(folder)): path.resolve() for path in _files(folder)}
    known = {path: store.execute(KNOWN, _identity(path)) for path in set(files.values())}
    digests = {path: rows[0][0] for path, rows in known.items() if rows}
    unread = sorted(set(known) - set(digests))
    if unread:
        sizes = sum(path.stat().st_size for path in unread)
        if sizes > WORTH_TELLING:
            log.info("reading the %.3g GB of %s, to know what was made with it again; once", sizes / 1e9, folder)
        with tqdm(total=sizes, unit="B", unit_scale=True, desc="digest", delay=1.0) as progress:
            for path in unread:
                identity = _identity(path)
                digests[path] = _digest(path, progress)
                if identity[2] < time.time_ns() - SETTLED_NS and identity == _identity(path):
                    store.execute(REMEMBER, (*identity, digests[path]))
    listing = "".join(f"{name}\0{digests[path]}\n" for name, path in sorted(files.items()))
    return hashlib.blake2b(listing.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


KNOWN = "SELECT digest FROM files WHERE path = ? AND size = ? AND mtime_ns = ? AND inode = ?"
REMEMBER = "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)"


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise FileNotFoundError(folder)
    return sorted(path for path in folder.rglob("*") if path.is_file() and _counts(path.relative_to(folder)))


def _counts(relative: Path) -> bool:
    hidden = any(part.startswith(".") or part == "__pycache__" for part in relative.parts)
    name = relative.name.lower()
    return not hidden and not name.endswith(DOCUMENTS) and not name.startswith(DOCUMENT_NAMES)


def _identity(path: Path) -> tuple[str, int, int, int]:
    facts = path.stat()
    return os.fsencode(path).decode("utf-8", "backslashreplace"), facts.st_size, facts.st_mtime_ns, facts.st_ino


def _digest(path: Path, progress: tqdm) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
            progress.update(len(block))
    return digest.hexdigest()
