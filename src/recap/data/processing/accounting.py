"""Account for every row that an operator was given: kept, dropped for a reason, or an error.

Data-Juicer itself only reports how many rows are left.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pyarrow

from recap.data.processing.decisions import NO_DECISION, Decision
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
        added: Trace rows of the rows that it made of another one, `before` the caption of that one.
        decision: What it decided by.
    """

    label: str
    rows_in: int
    dropped: list[Row]
    changed: list[Row]
    added: list[Row] = field(default_factory=list)
    decision: Decision = NO_DECISION

    @property
    def rows_out(self) -> int:
        return self.rows_in - len(self.dropped) + len(self.added)


@dataclass(frozen=True)
class Rows:
    """The rows before or behind an operator, as three columns; images stay in Arrow, as nobody looks into them."""

    ids: list[str]
    texts: list[str]
    images: pyarrow.ChunkedArray


def check_rows(label: str, before: Rows, after: Rows, *, may_drop: bool, may_multiply: bool) -> None:
    """Check that an operator's rows are rows that it was given, with their images.

    Args:
        label: The operator.
        before: The rows that it was given.
        after: The rows that it returned.
        may_drop: Whether a row may be absent: false of a mapper, and of a filter before its verdicts.
        may_multiply: Whether a row may be there more than once: false of a filter.

    Raises:
        UserError: Rows were lost, multiplied, or no longer are what they were.
    """
    if before.ids == after.ids and before.images.equals(after.images):
        return
    given = {row_id: number for number, row_id in enumerate(before.ids)}
    returned = set(after.ids)
    if not returned <= given.keys() or (len(returned) != len(after.ids) and not may_multiply):
        raise UserError(
            f"operator {label} made {len(after.ids)} rows of {len(given)}, not each a row that it was given; rows must "
            "keep their ids, and a filter keeps rows or drops them"
        )
    lost = sorted(given.keys() - returned)
    if lost and not may_drop:
        raise UserError(f"operator {label} lost {len(lost)} row(s) without a verdict, the first is {lost[0]!r}")
    expected = before.images.take(pyarrow.array([given[row_id] for row_id in after.ids], pyarrow.int64()))
    if not expected.equals(after.images):
        pairs = zip(after.ids, expected.to_pylist(), after.images.to_pylist(), strict=True)
        changed = next(row_id for row_id, old, new in pairs if old != new)
        raise UserError(f"operator {label} changed the images of row {changed!r}; only captions may change")


def derived_ids(ids: Sequence[str], taken: Mapping[str, Any]) -> list[str]:
    """Ids that differ: where a row is there more than once, the later ones are called ID_2, ID_3 and so on.

    Args:
        ids: As the operator left them.
        taken: Ids that mean another row already.
    """
    seen: set[str] = set()
    result = []
    for row_id in ids:
        new = row_id
        if row_id in seen:
            new = next(name for n in count(2) if (name := f"{row_id}_{n}") not in seen and name not in taken)
        seen.add(new)
        result.append(new)
    return result


def account(
    label: str, name: str, before: Rows, after: Rows, new_ids: Sequence[str], *,
    decision: Decision, image_of: Callable[[str], str],
) -> Step:  # fmt: skip
    """Compare the rows before and after an operator.

    Args:
        label: The operator in its recipe.
        name: The operator in Data-Juicer's registry.
        before: Rows that it was given.
        after: Rows that it returned.
        new_ids: Those of `after`, from `derived_ids`.
        decision: What it decided by.
        image_of: Of an id the name of the row's image.
    """

    def trace(row_id: str, came_from: str, old: str, new: str | None) -> Row:
        known = ", ".join(f"{key}={_short(value)}" for key, value in sorted(decision.facts.get(came_from, {}).items()))
        reason = f"{name}: {known}" if known else name
        return {"id": row_id, "image": image_of(came_from), "reason": reason, "before": old, "after": new}

    texts = dict(zip(before.ids, before.texts, strict=True))
    remaining = set(after.ids)
    dropped = [trace(row_id, row_id, text, None) for row_id, text in texts.items() if row_id not in remaining]
    changed, added = [], []
    for row_id, new_id, text in zip(after.ids, new_ids, after.texts, strict=True):
        if new_id != row_id:
            added.append(trace(new_id, row_id, texts[row_id], text))
        elif text != texts[row_id]:
            changed.append(trace(row_id, row_id, texts[row_id], text))
    return Step(label, len(texts), dropped, changed, added, decision)


def _short(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(_short, value))
    return f"{value:.4g}" if isinstance(value, float) and math.isfinite(value) else str(value)
