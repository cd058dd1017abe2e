"""What a user's further columns say, as JSON can hold it."""

import datetime
import logging
import math
from typing import Any

logger = logging.getLogger(__name__)


class Fields:
    """Keeps the values of further columns that JSON can hold; tells once about each column with others."""

    def __init__(self, what: str) -> None:
        """Args: what: The source's name, for the warning."""
        self._what = what
        self._told: set[str] = set()

    def keep(self, values: dict[str, Any]) -> dict[str, Any]:
        """The values that can be written; NaN and infinity, which JSON lacks, become null."""
        kept = {}
        for name, value in values.items():
            try:
                name.encode("utf-8")
                kept[name] = as_json(value)
            except (TypeError, UnicodeEncodeError, RecursionError) as error:
                if name not in self._told:
                    self._told.add(name)
                    logger.warning(
                        "warning: %s: column %a is left out where JSON cannot hold it: %s", self._what, name, error
                    )
        return kept


def as_json(value: Any) -> Any:
    """A value as JSON can hold it; dates and times as ISO 8601 text.

    Raises:
        TypeError: It cannot.
        UnicodeEncodeError: It is text that UTF-8 cannot hold.
    """
    match value:
        case bool() | int() | None:
            return value
        case str():
            value.encode("utf-8")
            return value
        case float():
            return value if math.isfinite(value) else None
        case list() | tuple():
            return [as_json(item) for item in value]
        case dict():
            return {as_key(key): as_json(item) for key, item in value.items()}
        case datetime.date() | datetime.time():  # a datetime is a date
            return value.isoformat()
    raise TypeError(f"found {type(value).__name__}")


def as_key(key: Any) -> str:
    """Raises: TypeError: No text. UnicodeEncodeError: No UTF-8."""
    if not isinstance(key, str):
        raise TypeError(f"found a key of type {type(key).__name__}")
    key.encode("utf-8")
    return key
