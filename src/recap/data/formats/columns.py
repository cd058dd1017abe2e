"""Which column holds what: named by the user, else guessed among the usual names."""

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from recap.data.formats.rows import RawRow
from recap.runtime.errors import UserError

ROLES = ("id", "caption", "image")

# Role -> names, in lower case; where a row has values under several, the first counts.
USUAL_NAMES = {
    "id": ("id", "uid", "sample_id"),
    "caption": ("text", "caption", "captions", "txt", "alt_text", "alt", "description", "sentence", "title"),
    "image": (
        "images", "image", "image_path", "image_name", "img_path", "img", "file_name", "filename", "filepath",
        "file_path", "path", "jpg", "jpeg", "png", "webp", "image_url", "img_url", "url",
    ),
}  # fmt: skip


def has_value(value: Any) -> bool:
    """Whether a cell says anything: null, NaN, the empty text and lists of nothing else say nothing."""
    if isinstance(value, list | tuple):
        return any(map(has_value, value))
    if isinstance(value, dict):
        return any(map(has_value, value.values()))
    if isinstance(value, float):
        return not math.isnan(value)
    return value is not None and value not in ("", b"")


class Columns:
    """Finds a row's id, caption and image among its columns."""

    def __init__(self, chosen: Mapping[str, str | None] | None = None) -> None:
        """Args: chosen: Role -> column; None guesses."""
        self._chosen = {role: (chosen or {}).get(role) for role in ROLES}
        self._candidates = lru_cache(maxsize=256)(self._find)

    def find(self, role: str, values: Mapping[str, Any]) -> str | None:
        """The column that a row's value for a role is in; one without a value if there is no better; else None."""
        candidates = self._candidates(role, tuple(values))
        return next((name for name in candidates if has_value(values[name])), next(iter(candidates), None))

    def is_usual(self, name: str) -> bool:
        """Whether a column could have told something."""
        return name in self._chosen.values() or any(name.lower() in names for names in USUAL_NAMES.values())

    def require(self, first: Iterable[RawRow], what: str) -> dict[str, str]:
        """Look at the first rows and say which columns they give.

        Args:
            first: Some rows.
            what: The source's name, for messages.

        Returns:
            Role -> columns as text, for people: "text", "text or caption" if rows differ. Roles that no row has are
            left out.

        Raises:
            UserError: No row has a caption, or an image, or a column that the user named.
        """
        rows = list(first)
        found: dict[str, dict[str, None]] = {role: {} for role in ROLES}
        for row in rows:
            # What the format itself tells needs no column.
            told = {"caption": row.caption, "image": row.image}
            for role in ROLES:
                name = self.find(role, row.values) if told.get(role) is None else "the format"
                if name is not None:
                    found[role][name] = None
        for role in ROLES:
            if rows and not found[role] and (role != "id" or self._chosen["id"]):
                names = ", ".join(dict.fromkeys(name for row in rows for name in row.values)) or "none"
                wanted = repr(self._chosen[role]) if self._chosen[role] else "one of " + ", ".join(USUAL_NAMES[role])
                raise UserError(
                    f"{what}: expected a column with the {role}: {wanted}; found {names:.300}; "
                    f"name it in data.columns.{role}"
                )
        return {role: " or ".join(names) for role, names in found.items() if names}

    def _find(self, role: str, columns: tuple[str, ...]) -> tuple[str, ...]:
        chosen = self._chosen[role]
        if chosen is not None:
            return (chosen,) if chosen in columns else ()
        by_name: dict[str, str] = {}
        for column in columns:
            by_name.setdefault(column.lower(), column)
        return tuple(by_name[name] for name in USUAL_NAMES[role] if name in by_name)
