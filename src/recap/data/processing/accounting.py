"""Account for every row that an operator was given: kept, dropped for a reason, or an error.

Data-Juicer itself only reports how many rows are left.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recap.runtime.errors import UserError

Row = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """What one operator did.

    Attributes:
        label: The operator, unique within the recipe.
        rows_in: Rows before it.
        dropped: Trace rows (id, image, reason, before, after) of the rows that it removed; `after` is None.
        changed: Trace rows of the rows whose caption it changed.
    """

    label: str
    rows_in: int
    dropped: list[Row]
    changed: list[Row]

    @property
    def rows_out(self) -> int:
        return self.rows_in - len(self.dropped)


def check_rows(label: str, before: Sequence[Row], after: Sequence[Row], *, may_drop: bool) -> None:
    """Check that an operator's rows are rows that it was given, each at most once, with their images.

    Args:
        label: The operator.
        before: The rows that it was given.
        after: The rows that it returned.
        may_drop: Whether a row may be absent: false of a mapper, and of a filter before its verdicts.

    Raises:
        UserError: Rows were lost, multiplied, or no longer are what they were.
    """
    given = {row["id"]: row for row in before}
    ids = [row.get("id") for row in after]
    if len(set(ids)) != len(ids) or not set(ids) <= given.keys():
        raise UserError(
            f"operator {label} made {len(ids)} rows of {len(given)}, not each a row of its own; rows must keep their "
            "ids and not multiply (for example: keep_original_sample: false)"
        )
    lost = sorted(given.keys() - set(ids))
    if lost and not may_drop:
        raise UserError(f"operator {label} lost {len(lost)} row(s) without a verdict, the first is {lost[0]!r}")
    for row in after:
        if missing := sorted(given[row["id"]].keys() - row.keys()):
            raise UserError(f"operator {label} removed the field(s) {', '.join(missing)} of row {row['id']!r}")
        if row["images"] != given[row["id"]]["images"]:
            raise UserError(f"operator {label} changed the images of row {row['id']!r}; only captions may change")


def account(label: str, name: str, before: Sequence[Row], after: Sequence[Row]) -> Step:
    """Compare the rows before and after an operator.

    Args:
        label: The operator in its recipe.
        name: The operator in Data-Juicer's registry.
        before: Rows that it was given; `stats`, where present, is what it judged a row by.
        after: Rows that it returned.
    """
    texts = {row["id"]: row["text"] for row in after}
    dropped = [_trace(name, row, None) for row in before if row["id"] not in texts]
    changed = [
        _trace(name, row, texts[row["id"]]) for row in before if row["id"] in texts and texts[row["id"]] != row["text"]
    ]
    return Step(label, len(before), dropped, changed)


def _trace(name: str, row: Row, after: str | None) -> Row:
    facts = ", ".join(f"{key}={_short(value)}" for key, value in sorted(row.get("stats", {}).items()))
    reason = f"{name}: {facts}" if facts else name
    return {"id": row["id"], "image": row["image"], "reason": reason, "before": row["text"], "after": after}


def _short(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(_short, value))
    return f"{value:.4g}" if isinstance(value, float) and math.isfinite(value) else str(value)
