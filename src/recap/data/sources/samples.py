"""A row of a user's corpus, whatever the format that it came in."""

from dataclasses import dataclass
from typing import Any

from recap.runtime.faults import Fault


@dataclass(frozen=True)
class Sample:
    """A row that can be used if its picture can.

    Attributes:
        where: File and place in it.
        id: Unique, or the row is rejected.
        image: The picture's name; rows with the same one show the same picture.
        caption: Without markers.
        fields: What else the row said.
        content: The picture itself; None where it is a file below the source's folder.
        path: That file, where the picture's name is not its path.
    """

    where: str
    id: str
    image: str
    caption: str
    fields: dict[str, Any]
    content: bytes | None = None
    path: str | None = None

    @property
    def file(self) -> str:
        return self.image if self.path is None else self.path

    @property
    def duplicate(self) -> Fault:
        """What is wrong with the row where an earlier one that was accepted has its id."""
        detail = f"expected an id of its own, found one that an earlier row has: {self.id!r}"
        return Fault(self.where, self.id, "duplicate_id", detail)
