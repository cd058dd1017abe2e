"""What is packed: a row of a corpus, whatever the format that it came in, or a picture alone."""

from dataclasses import dataclass
from typing import Any

from recap.runtime.faults import Fault


@dataclass(frozen=True)
class Sample:
    """A row that can be used if its picture can; where a picture stands alone, its name is its id.

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


def repeated_id(sample: Sample) -> Fault:
    """What is wrong with a sample whose id an earlier one has."""
    detail = f"expected an id of its own, found one that an earlier row has: {sample.id!r}"
    return Fault(sample.where, sample.id, "duplicate_id", detail)
