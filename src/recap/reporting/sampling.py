"""Which rows a page shows: chosen by a seed, never by how well they look."""

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
