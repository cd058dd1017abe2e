"""A row as the reader of a format finds it."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class RawRow:
    """What a row of a source says, before anybody asks which value means what.

    Attributes:
        where: File and position, unique within the source: "train.csv:17", "shard-0.tar:000017", "part.parquet:row 3".
        values: Column -> value.
        caption: The caption, where the format itself says which value it is; else a column has it.
        image: Likewise the image: a path, bytes, or `{"bytes", "path"}`.
    """

    where: str
    values: dict[str, Any]
    caption: str | None = None
    image: str | bytes | dict[str, Any] | None = None
