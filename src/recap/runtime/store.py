"""Results that cost much and stay true: captions and alignment scores, kept outside of every stage's outputs.

A result belongs to an item (an image's digest, or that of an image and a text) and to the settings that it was made
under: a JSON object with everything that shapes it, the engine's version among them. Whoever asks with the same
settings, whichever stage, experiment, clone or person, gets what is there and computes only what is not.

The store is one SQLite file with a rollback journal. A `put` is one transaction: after a kill it is there whole or not
at all, and whoever opens the file next undoes what was half written. Two processes may write at the same time; the
later waits. A result that is there already stays, as both are the same. SQLite's write-ahead log would let readers go
on beside a writer, but needs memory that all processes share, which those of two hosts on a network disk do not.
"""

import hashlib
import json
import logging
import os
import sqlite3
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from recap.runtime.errors import UserError, hint_on_copies, one_line
from recap.runtime.scratch import SCRATCH_ROOT

log = logging.getLogger(__name__)

SCHEMA = """
CREATE TABLE settings (
    id INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    description TEXT NOT NULL,
    used REAL NOT NULL
);
CREATE TABLE results (
    settings INTEGER NOT NULL REFERENCES settings(id),
    item TEXT NOT NULL,
    value TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (settings, item)
) WITHOUT ROWID;
CREATE TABLE files (
    path TEXT PRIMARY KEY,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    digest TEXT NOT NULL
) WITHOUT ROWID;
"""

HEADER = b"SQLite format 3\0"
# SQLite's marks of a file: whose it is, and which of its owner's formats. A newer format is refused, not guessed at.
APPLICATION = int.from_bytes(b"Rcap", "big")
FORMAT = 1

PATIENCE_S = 60.0
"""How long a process waits for another that writes."""

ITEMS_PER_QUERY = 500

# `used` is written again when it is older, so that most reads write nothing.
USED_WITHIN_S = 3600.0


class Store:
    """An open store; use it in a `with` statement, and in one thread.

    Args:
        path: The file; it and its folder are made if need be, for whoever may write to the folder above.
        new: Whether the file may be made.
        patience: Seconds to wait for another process that writes.

    Raises:
        UserError: The file is no store, of a newer format, or cannot be written.
    """

    def __init__(self, path: Path, *, new: bool = True, patience: float = PATIENCE_S) -> None:
        self.path = path
        self.patience = patience
        if not new and not path.is_file():
            raise UserError(f"{path}: expected a store of captions, found none; it is made when `caption` runs")
        with self._readable():
            _make(path)
            # Transactions are begun by hand: each says whether it writes.
            self._connection = sqlite3.connect(path, timeout=patience, isolation_level=None)
            # What a damaged disk made of a text is still a text, which its digest does not fit.
            self._connection.text_factory = lambda content: content.decode("utf-8", "replace")
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def get(self, kind: str, settings: Mapping[str, Any], items: Iterable[str]) -> dict[str, Any]:
        """What is there of the items, by item.

        Args:
            kind: What the results are: "caption", "alignment".
            settings: What they were made under, JSON-serialisable.
            items: Digests.

        Raises:
            UserError: One of them is not what was written, or the store cannot be read.
        """
        found = {}
        for item, value, digest in self._found(kind, settings, items, "item, value, digest"):
            if not is_as_written(value, digest):
                raise UserError(
                    f"machine.store: {self.path}: expected the {kind} of {item} as it was written, found it damaged; "
                    "`python -m recap.captioning.store verify --repair` drops what is damaged"
                )
            found[item] = json.loads(value)
        return found

    def missing(self, kind: str, settings: Mapping[str, Any], items: Iterable[str]) -> list[str]:
        """Those of the items that are not there, each once, in their order; as `get`, without reading the results."""
        wanted = dict.fromkeys(items)
        for (item,) in self._found(kind, settings, wanted, "item"):
            del wanted[item]
        return list(wanted)

    def put(self, kind: str, settings: Mapping[str, Any], results: Mapping[str, Any]) -> None:
        """Keep results, JSON-serialisable, by item; they are on disk when this returns."""
        texts = {item: json.dumps(value, ensure_ascii=False, sort_keys=True) for item, value in results.items()}
        with self.transaction():
            number = self._used(kind, settings)
            self._connection.executemany(
                "INSERT OR IGNORE INTO results VALUES (?, ?, ?, ?)",
                [(number, item, text, digest_of_text(text)) for item, text in texts.items()],
            )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything that the body writes, or nothing of it. Other writers wait from its beginning."""
        with self._readable():
            # IMMEDIATE: two that read first and would both write then would wait for each other.
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def execute(self, query: str, values: Iterable[Any] = ()) -> list[Any]:
        """All rows of one query, for those who look after the store (`recap.runtime.upkeep`)."""
        with self._readable():
            return self._connection.execute(query, tuple(values)).fetchall()

    def _found(self, kind: str, settings: Mapping[str, Any], items: Iterable[str], columns: str) -> Iterator[Any]:
        wanted = list(dict.fromkeys(items))
        number = self._number(kind, settings)
        for start in range(0, len(wanted), ITEMS_PER_QUERY):
            chunk = wanted[start : start + ITEMS_PER_QUERY]
            marks = ",".join("?" * len(chunk))
            yield from self.execute(
                f"SELECT {columns} FROM results WHERE settings = ? AND item IN ({marks})", (number, *chunk)
            )

    def _number(self, kind: str, settings: Mapping[str, Any]) -> int:
        """The settings' row, made if need be, and marked as used unless it is by now."""
        digest = digest_of_settings(kind, settings)
        row = self.execute(
            "SELECT id FROM settings WHERE digest = ? AND used > ?", (digest, time.time() - USED_WITHIN_S)
        )
        if row and row[0][0] is not None:  # which damage may make of a key
            return int(row[0][0])
        with self.transaction():
            return self._used(kind, settings)

    def _used(self, kind: str, settings: Mapping[str, Any]) -> int:
        """The settings' row within a transaction, made if need be, and marked as used now."""
        digest, description = digest_of_settings(kind, settings), _description(settings)
        row = self._connection.execute(
            "INSERT INTO settings (digest, kind, description, used) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (digest) DO UPDATE SET used = excluded.used RETURNING id",
            (digest, kind, description, time.time()),
        ).fetchone()
        if row is None or row[0] is None:
            raise sqlite3.DatabaseError("settings without a key")
        return int(row[0])

    def _prepare(self) -> None:
        """Make the tables of a new file; of an old one see whether they are ours."""
        if self._is_new():
            with self.transaction():
                if self._is_new():  # still, now that nobody else can be at it
                    for statement in filter(str.strip, SCHEMA.split(";")):
                        self._connection.execute(statement)
                    self._connection.execute(f"PRAGMA application_id = {APPLICATION}")
                    self._connection.execute(f"PRAGMA user_version = {FORMAT}")
        application, found = self._pragma("application_id"), self._pragma("user_version")
        if application != APPLICATION:
            raise UserError(
                f"machine.store: {self.path}: expected a store of captions, found another program's SQLite file; "
                "name another file"
            )
        if found > FORMAT:
            raise UserError(
                f"machine.store: {self.path}: expected a store of format {FORMAT}, found format {found}, which a newer "
                "Recap wrote; update this one, or name another file"
            )
        self._connection.execute("PRAGMA journal_mode = DELETE")
        self._connection.execute("PRAGMA synchronous = FULL")

    def _is_new(self) -> bool:
        return (
            not self._pragma("application_id")
            and not self._connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        )

    def _pragma(self, name: str) -> int:
        return int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        # Of damage SQLite may tell in words that are damaged too.
        except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"machine.store: {self.path}: expected a store of captions that can be read and written, found: "
                f"{one_line(error)}; {self._advice(error)}"
            ) from error

    def _advice(self, error: Exception) -> str:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
            return f"another process has been writing to it for {self.patience:g} seconds: run again when it is done"
        return "mend its permissions, its disk or the file (`python -m recap.captioning.store verify`), or name another"


def store_path(setting: str) -> Path:
    """The store's file.

    Args:
        setting: `machine.store`; "auto" is `recap-store/store.sqlite` beside the folder of `dvc cache dir`, the one
            place that a repository, its queued and temporary experiments and, with a shared cache, clones have in
            common. Outside of a DVC repository it is below `.scratch`.
    """
    if setting != "auto":
        path = Path(setting).expanduser()
        if not path.is_absolute() and (hint := hint_on_copies()):
            log.warning("machine.store: %s ends with this experiment%s", path, hint)
        return path
    cache = _dvc_cache()
    if cache is None:
        log.info("no DVC repository here: captions are kept in %s", SCRATCH_ROOT / "recap-store")
        return SCRATCH_ROOT / "recap-store" / "store.sqlite"
    return cache.parent / "recap-store" / "store.sqlite"


def _dvc_cache() -> Path | None:
    """What `dvc cache dir` prints, without opening the repository; None outside of one."""
    from dvc.config import Config, ConfigError

    try:
        config = Config.from_cwd()
    except ConfigError as error:
        raise UserError(f"machine.store: auto: expected DVC's configuration, found: {one_line(error)}") from None
    if config.dvc_dir is None:
        return None
    return Path(config["cache"].get("dir") or Path(config.dvc_dir) / "cache")


def _make(path: Path) -> None:
    """An empty file, which SQLite takes for a new database, with the permissions of the folder that it comes into."""
    if path.exists():
        if path.is_dir():
            raise IsADirectoryError("a folder; the store is a file, such as store.sqlite in it")
        # SQLite would take a short text for an empty database, and write over it.
        if path.is_file() and path.stat().st_size and not _begins_with_header(path):
            raise sqlite3.DatabaseError("file is not a database")
        return
    for folder in [*reversed(path.parent.parents), path.parent]:
        if not folder.exists():
            folder.mkdir(exist_ok=True)
            _share_like_its_folder(folder)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR))
        _share_like_its_folder(path)


def _begins_with_header(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(HEADER)) == HEADER


def _share_like_its_folder(path: Path) -> None:
    """Who may write to a folder may write to what is made in it, whatever this user's umask. The journal follows."""
    above = path.parent.stat()
    mask = 0o7777 if path.is_dir() else 0o666
    with suppress(OSError):  # a folder of another group, or a disk without modes
        if path.stat().st_gid != above.st_gid:
            os.chown(path, -1, above.st_gid)
    with suppress(OSError):
        path.chmod(stat.S_IMODE(above.st_mode) & mask & ~0o1000 | 0o600 | (0o100 if path.is_dir() else 0))


def digest_of_settings(kind: str, settings: Mapping[str, Any]) -> str:
    """What settings are called, 32 hexadecimal digits."""
    return digest_of_text(f"{kind}\0{_description(settings)}")


def _description(settings: Mapping[str, Any]) -> str:
    return json.dumps(settings, ensure_ascii=False, sort_keys=True)


def digest_of_text(text: str) -> str:
    """BLAKE2b of a text, 32 hexadecimal digits."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def is_as_written(value: Any, digest: Any) -> bool:
    """Whether a text of the store is the one whose digest stands beside it. Damage may have made a number of it."""
    return isinstance(value, str) and digest_of_text(value) == digest
