"""What a person does with the store: see what is in it, take results out, drop old ones, look for damage.

Everything goes in pages of some thousand results, so that whoever captions meanwhile waits for none of it for long.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from recap.runtime.errors import UserError
from recap.runtime.store import Store, is_as_written

PAGE = 5000


@dataclass(frozen=True)
class Held:
    """The results of one setting.

    Attributes:
        digest: The settings' name.
        kind: "caption", "alignment".
        description: The settings.
        results: How many there are.
        size: Bytes of their texts.
        used: When they were last asked for, in seconds since 1970, to within an hour.
    """

    digest: str
    kind: str
    description: dict[str, Any]
    results: int
    size: int
    used: float


@dataclass(frozen=True)
class Result:
    """One result as it is stored; `value` is JSON, `digest` was made of it when it was written."""

    item: str
    value: str
    digest: str

    @property
    def is_damaged(self) -> bool:
        return not is_as_written(self.value, self.digest)


def inventory(store: Store) -> list[Held]:
    """What there is, the last used first.

    Raises:
        UserError: Settings are not what was written.
    """
    rows = store.execute(
        "SELECT s.digest, s.kind, s.description, count(r.item), coalesce(sum(length(CAST(r.value AS BLOB))), 0), "
        "s.used FROM settings s LEFT JOIN results r ON r.settings = s.id GROUP BY s.id ORDER BY s.used DESC, s.id DESC"
    )
    for digest, kind, text, _, _, used in rows:
        if not (is_as_written(f"{kind}\0{text}", digest) and isinstance(used, int | float)):
            raise _damaged(store, f"the settings {digest}")
    return [Held(digest, kind, json.loads(text), *numbers) for digest, kind, text, *numbers in rows]


def _damaged(store: Store, what: str) -> UserError:
    return UserError(
        f"{store.path}: expected {what} as written, found the file damaged; put a copy in its place or move it "
        "away: results are made anew"
    )


def chosen(held: list[Held], prefixes: list[str]) -> list[Held]:
    """Those whose digests begin so.

    Raises:
        UserError: A prefix fits none, or several.
    """
    found = []
    for prefix in prefixes:
        fitting = [settings for settings in held if settings.digest.startswith(prefix)]
        if len(fitting) != 1:
            raise UserError(
                f"--settings {prefix}: expected the digest of one setting, or its beginning, found {len(fitting)} that "
                "fit; `list` prints them"
            )
        found += fitting
    return found


def results(store: Store, settings: Held) -> Iterator[Result]:
    """Its results, by item.

    Raises:
        UserError: They do not come in their order, in which there would be no end of them.
    """
    last = ""
    while page := store.execute(
        "SELECT item, value, digest FROM results WHERE settings = (SELECT id FROM settings WHERE digest = ?) "
        "AND item > ? ORDER BY item LIMIT ?",
        (settings.digest, last, PAGE),
    ):
        for item, value, digest in page:
            if not (isinstance(item, str) and item > last):
                raise _damaged(store, f"each item of {settings.digest} once, in the index of the results,")
            yield Result(item, value, digest)
            last = item


def drop(store: Store, settings: Held) -> None:
    """Delete a setting and its results. The file stays as large as it is until `compact`."""
    number = "(SELECT id FROM settings WHERE digest = ?)"
    page = f"SELECT item FROM results WHERE settings = {number} LIMIT {PAGE}"
    while store.execute(page, (settings.digest,)):
        store.execute(
            f"DELETE FROM results WHERE settings = {number} AND item IN ({page})", (settings.digest, settings.digest)
        )
    with store.transaction():
        # Whoever uses it at this very moment may have added some.
        store.execute(f"DELETE FROM results WHERE settings = {number}", (settings.digest,))
        store.execute("DELETE FROM settings WHERE digest = ?", (settings.digest,))


def drop_items(store: Store, settings: Held, items: list[str]) -> None:
    """Delete some results: they are made anew when they are asked for."""
    with store.transaction():
        for item in items:
            store.execute(
                "DELETE FROM results WHERE settings = (SELECT id FROM settings WHERE digest = ?) AND item = ?",
                (settings.digest, item),
            )


def compact(store: Store) -> None:
    """Give the space of what was dropped back to the disk. It needs room for another file, and waits for writers."""
    store.execute("VACUUM")


def structure_problems(store: Store) -> list[str]:
    """What SQLite finds wrong with the file itself; nothing where it is sound."""
    return [text for (text,) in store.execute("PRAGMA integrity_check") if text != "ok"]
