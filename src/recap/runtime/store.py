"""Results that cost much and stay true: captions and alignment scores, kept outside of every stage's outputs.

A result belongs to an item (an image's digest, or that of an image and a text) and to the settings that it was made
under: a JSON object with everything that shapes it, the engine's version among them. Whoever asks with the same
settings, whichever stage, experiment, clone or person, gets what is there and computes only what is not.

The store is one SQLite file. A `put` is one transaction: after a kill it is there whole or not at all. Two processes
may write at the same time; the later waits. A result that is there already stays, as both are the same.
"""

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recap.runtime.errors import UserError, one_line

SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (
    id INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    description TEXT NOT NULL,
    used REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS results (
    settings INTEGER NOT NULL REFERENCES settings(id),
    item TEXT NOT NULL,
    value TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (settings, item)
) WITHOUT ROWID;
"""

PATIENCE_S = 60.0
"""How long a process waits for another that writes."""

ITEMS_PER_QUERY = 500


class Store:
    """An open store; use it in a `with` statement, and in one thread.

    Args:
        path: The file; it and its folder are made if need be.

    Raises:
        UserError: The file is no store, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._readable():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=PATIENCE_S)
            self._connection.executescript(SCHEMA)

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
        """
        wanted = list(dict.fromkeys(items))
        found: dict[str, Any] = {}
        with self._readable(), self._connection:
            number = self._number(kind, settings)
            for start in range(0, len(wanted), ITEMS_PER_QUERY):
                chunk = wanted[start : start + ITEMS_PER_QUERY]
                marks = ",".join("?" * len(chunk))
                rows = self._connection.execute(
                    f"SELECT item, value FROM results WHERE settings = ? AND item IN ({marks})", (number, *chunk)
                )
                found |= {item: json.loads(value) for item, value in rows}
        return found

    def put(self, kind: str, settings: Mapping[str, Any], results: Mapping[str, Any]) -> None:
        """Keep results, JSON-serialisable, by item; they are on disk when this returns."""
        texts = {item: json.dumps(value, ensure_ascii=False, sort_keys=True) for item, value in results.items()}
        with self._readable(), self._connection:
            number = self._number(kind, settings)
            self._connection.executemany(
                "INSERT OR IGNORE INTO results VALUES (?, ?, ?, ?)",
                [(number, item, text, digest_of_text(text)) for item, text in texts.items()],
            )

    def _number(self, kind: str, settings: Mapping[str, Any]) -> int:
        """The settings' row, made if need be, and marked as used now."""
        description = json.dumps(settings, ensure_ascii=False, sort_keys=True)
        digest = digest_of_text(f"{kind}\0{description}")
        self._connection.execute(
            "INSERT INTO settings (digest, kind, description, used) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (digest) DO UPDATE SET used = excluded.used",
            (digest, kind, description, time.time()),
        )
        row = self._connection.execute("SELECT id FROM settings WHERE digest = ?", (digest,)).fetchone()
        return int(row[0])

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise UserError(
                f"machine.store: {self.path}: expected a store of captions that can be read and written, found: "
                f"{one_line(error)}; mend or move the file, or name another"
            ) from error


def digest_of_text(text: str) -> str:
    """BLAKE2b of a text, 32 hexadecimal digits."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
