"""Why a row, or an image that rows name, is left out: one record, from where it is found to the file that lists it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Fault:
    """What is wrong with a row, or with an image, which costs its rows. No exception: its traceback would keep pixels.

    Attributes:
        where: File and place in it, for example "train.jsonl:17"; of an image its name.
        id: The row's id, or None if it has none, as an image.
        reason: A slug; docs/DATA.md lists them all.
        detail: One line for a person.
    """

    where: str
    id: str | None
    reason: str
    detail: str

    def __str__(self) -> str:
        place = self.where if self.id is None else f"{self.where} (id {self.id})"
        return f"{place}: {self.reason}: {self.detail}"

    def at(self, where: str, id: str | None = None) -> "Fault":
        """The same of another place: of a row that shows the image."""
        return replace(self, where=where, id=id)

    def to_row(self) -> dict[str, Any]:
        """As JSON; half of a surrogate pair, which a place or a path may hold, is spelt out."""
        return {
            key: value and value.encode("utf-8", "backslashreplace").decode() for key, value in asdict(self).items()
        }


class Unusable(Exception):
    """What is wrong, raised where nobody knows yet which row it costs: `reason` and `detail` are a `Fault`'s."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"

    def at(self, where: str, id: str | None = None) -> Fault:
        """The fault of a row or an image."""
        return Fault(where, id, self.reason, self.detail)


def by_reason(faults: Iterable[Fault]) -> dict[str, int]:
    """How many there are of each reason, by its name."""
    return dict(sorted(Counter(fault.reason for fault in faults).items()))


def reasons_of(faults: Iterable[Fault]) -> str:
    """`by_reason` for a message: "broken_image 3, missing_image 1"."""
    return ", ".join(f"{reason} {count}" for reason, count in by_reason(faults).items())


def first_of(faults: Sequence[Fault]) -> str:
    """What a message adds of several: "; first: train.jsonl:17 (id 8): no_image: ..."; nothing where there is none."""
    return f"; first: {faults[0]}" if faults else ""
