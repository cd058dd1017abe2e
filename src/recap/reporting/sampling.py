"""Which rows a page shows: chosen by a seed or by a score, never by how well they look."""

from collections.abc import Callable, Iterable
from typing import Any

from recap.runtime.seeding import derive_seed

Row = dict[str, Any]


def choose(rows: Iterable[Row], count: int, *, seed: int, what: str, group: Callable[[Row], str]) -> list[Row]:
    """A sample that depends on the seed and the rows' own keys alone, with one row a group first.

    Args:
        rows: With `key`, or else `id`.
        count: Rows to choose; fewer where there are fewer.
        seed: The run's.
        what: What is sampled, so that two samples of the same rows differ.
        group: Of two rows of one group, the second is chosen only when there is no row of another group left.
    """
    ranked = sorted(rows, key=lambda row: derive_seed(seed, "report", what, row.get("key") or row["id"]))
    firsts: list[Row] = []
    rest: list[Row] = []
    seen: set[str] = set()
    for row in ranked:
        (rest if group(row) in seen else firsts).append(row)
        seen.add(group(row))
    return [*firsts, *rest][:count]


class Lowest:
    """The rows of lowest rank among all that are offered, one a group: what a page shows of a corpus of any size.

    Ranks are numbers, or tuples of numbers that differ between any two rows.
    """

    def __init__(self, count: int) -> None:
        """Keep at most `count` rows (at least one)."""
        self._count = count
        self._kept: dict[str, tuple[Any, Row]] = {}
        self._last: str | None = None  # the group that gives way to a lower rank, once there are `count`

    def offer(self, rank: Any, row: Row, *, group: str) -> None:
        """Keep a row if its rank is low enough, in the place of a higher one."""
        known = self._kept.get(group)
        if known is not None:
            if rank >= known[0]:
                return
        elif self._last is not None:
            if rank >= self._kept[self._last][0]:
                return
            del self._kept[self._last]
        self._kept[group] = (rank, row)
        if len(self._kept) == self._count:
            self._last = max(self._kept, key=lambda group: self._kept[group][0])

    @property
    def rows(self) -> list[Row]:
        """The kept rows, the lowest rank first."""
        return [row for _, row in sorted(self._kept.values(), key=lambda kept: kept[0])]
