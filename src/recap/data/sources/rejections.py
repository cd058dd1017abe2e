"""Rows that cannot be used: each with its reason, counted, listed in a file, and limited."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from recap.runtime.errors import UserError

Origin = Literal["user", "embedded"]


@dataclass(frozen=True)
class Rejection:
    """A row that was left out.

    Attributes:
        where: File and place in it, for example "train.jsonl:17".
        id: The row's id, or None if it has none.
        reason: A slug; docs/DATA.md lists them all.
        detail: One line for a person.
    """

    where: str
    id: str | None
    reason: str
    detail: str

    def to_row(self) -> dict[str, Any]:
        """As JSON; half of a surrogate pair, which a place or a path may hold, is spelt out."""
        return {
            key: value and value.encode("utf-8", "backslashreplace").decode() for key, value in asdict(self).items()
        }


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
    rejections: list[Rejection]
    unread: int = 0

    @property
    def total(self) -> int:
        return self.rows + len(self.rejections) + self.unread

    @property
    def rejected_percent(self) -> float:
        return _percent(len(self.rejections), self.total)

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
        return dict(sorted(Counter(rejection.reason for rejection in self.rejections).items()))


# Before so many are rejected it is not worth counting the rows of a source that does not say how many it has.
WORTH_COUNTING = 20


class Budget:
    """How many of a part's rows may be rejected, spent as they are: a part that overdraws it is read no further.

    The limit is a share of all the rows that there are, so that it cannot be overdrawn by a bad beginning.
    """

    def __init__(
        self,
        max_rejected: float,
        total: int | Callable[[], int],
        *,
        rejected: int = 0,
        rows_of: Mapping[str, int] | None = None,
    ) -> None:
        """A budget of which some may be spent.

        Args:
            max_rejected: Percent of the rows.
            total: How many rows there are; or what counts them, which is asked once, and only if `WORTH_COUNTING` are
                rejected and more than the limit of those read so far: of all rows they may still be few.
            rejected: Rows rejected already.
            rows_of: By a rejection's id the rows that it costs, where pictures are rejected; else each costs one.
        """
        self.max_rejected = max_rejected
        self.rejected = rejected
        self._total = total
        self._rows_of = rows_of

    @property
    def total(self) -> int:
        """The rows that there are, counted now if they have not been."""
        if not isinstance(self._total, int):
            self._total = self._total()
        return self._total

    def spend(self, rejection: Rejection) -> None:
        self.rejected += 1 if self._rows_of is None else self._rows_of.get(rejection.id or "", 0)

    def is_overdrawn(self, read: int = 0) -> bool:
        """Whether too much is rejected even if nothing else is; `read` is how many rows have been looked at."""
        if not isinstance(self._total, int):
            few = _percent(self.rejected, read) <= self.max_rejected
            if few or self.rejected < WORTH_COUNTING:
                return False
        return _percent(self.rejected, self.total) > self.max_rejected


def _percent(rows: int, total: int) -> float:
    return 100 * rows / total if total else 0.0


def require_few_rejections(part: Part, max_rejected: float, what: str, listing: Path) -> None:
    """Stop when too much was rejected, or when nothing is left.

    Args:
        part: The part to judge.
        max_rejected: Percent of its rows that may be rejected.
        what: Its name, for the message.
        listing: The file that lists the rejected rows.

    Raises:
        UserError: With the counts by reason and the file.
    """
    if part.rows and part.rejected_percent <= max_rejected:
        return
    rest = "; the others were not looked at any more" if part.unread else ""
    reasons = ", ".join(f"{reason} {count}" for reason, count in part.by_reason().items()) or "the file is empty"
    raise UserError(
        f"{what}: expected at most {max_rejected:g} % of rows to be rejected and at least one to be kept, found "
        f"{len(part.rejections)} of {part.total} rejected ({part.rejected_percent:.1f} %: {reasons}{rest}); "
        f"{listing} lists them; mend the data or raise data.max_rejected"
    )
