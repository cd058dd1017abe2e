"""What the readers of formats hand on: a row as its file has it, and the image-caption pair that it is."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class EmbeddedImage:
    """A picture that came inside a row. `name` is a relative path that no other picture of the source has."""

    name: str
    data: bytes


@dataclass(frozen=True)
class RawRow:
    """A row as a format's reader found it.

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


@dataclass(frozen=True)
class SourceRow:
    """One image-caption pair of a source.

    Attributes:
        where: See `RawRow`.
        id: The row's own, or `where` if it has none.
        caption: Without Data-Juicer's markers and without blanks at its ends, never empty.
        image: A path relative to the source's root, with "/" between parts, or the picture itself. Neither was opened.
        fields: Whatever else the row says, as JSON can hold it.
    """

    where: str
    id: str
    caption: str
    image: str | EmbeddedImage
    fields: dict[str, Any]
