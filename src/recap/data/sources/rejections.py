"""Rows that cannot be used: each with its reason, counted, listed in a file, and limited."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from recap.runtime.errors import UserError
from recap.runtime.faults import Fault, by_reason, first_of, reasons_of

Origin = Literal["user", "embedded"]


@dataclass(frozen=True)
class Part:
    """What became of one part of the data: the corpus, the finetune set, or one benchmark.

    Attributes:
        origin: Whose rows they are.
        rows: How many were written.
        rejections: Those that were not, in file order.
        unread: Those that were left aside, because too many others had been rejected.
    """

    origin: Origin
    rows: int
    rejections: list[Fault]
    unread: int = 0

    @property
    def total(self) -> int:
        return self.rows + len(self.rejections) + self.unread

    @property
    def rejected_percent(self) -> float:
        return 100 * len(self.rejections) / self.total if self.total else 0.0

    def counts(self) -> dict[str, Any]:
        """Numbers for metrics: rows, rejected, rejected_percent and, if there are any, a count by reason."""
        counts: dict[str, Any] = {
            "rows": self.rows,
            "rejected": len(self.rejections),
            "rejected_percent": self.rejected_percent,
        }
        if self.rejections:
            counts["reasons"] = self.by_reason()
        return counts

    def by_reason(self) -> dict[str, int]:
        return by_reason(self.rejections)


def may_still_fail(total: int, rejected: int, max_rejected: float) -> float:
    """How many more of a part's rows may be rejected; below 0 if there are too many already."""
    return total * max_rejected / 100 - rejected


def require_few_rejections(part: Part, max_rejected: float, what: str, listing: Path) -> None:
    """Stop when too much was rejected, or when nothing is left.

    Args:
        part: The part to judge.
        max_rejected: Percent of its rows that may be rejected.
        what: Its name, for the message.
        listing: The file that lists the rejected rows.

    Raises:
        UserError: With the counts by reason, the first fault and the file.
    """
    if part.rows and part.rejected_percent <= max_rejected:
        return
    rest = "; the others were not looked at any more" if part.unread else ""
    reasons = reasons_of(part.rejections) or "the file is empty"
    raise UserError(
        f"{what}: expected at most {max_rejected:g} % of rows to be rejected and at least one to be kept, found "
        f"{len(part.rejections)} of {part.total} rejected ({part.rejected_percent:.1f} %: {reasons}{rest}); "
        f"{listing} lists them{first_of(part.rejections)}; mend the data or raise data.max_rejected"
    )
