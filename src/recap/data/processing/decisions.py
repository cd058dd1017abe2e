"""What an operator decided by: the statistic, how it lay before and after, and which rows fell out on which side."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from recap.data.statistics.quantiles import quantiles

QUANTILES = ("min", "p5", "p25", "median", "p75", "p95", "max")

Statistics = Mapping[str, Sequence[Any]]
"""By name, a value a row."""

Quantiles = dict[str, float]


@dataclass(frozen=True)
class Decision:
    """Of one operator.

    Attributes:
        statistic: Its name; of several the one that dropped most rows, or the first. None: it decided by none.
        before: Quantiles of the rows that it was given; None where no row has a number.
        after: Of those that it returned.
        reasons: How many rows it dropped by "NAME low", "NAME high" or "NAME unknown", where NAME is a statistic; by
            the operator's name where no statistic tells.
        facts: By row id the statistics that it was judged by: of rows that were dropped, or may have been changed.
    """

    statistic: str | None = None
    before: Quantiles | None = None
    after: Quantiles | None = None
    reasons: dict[str, int] = field(default_factory=dict)
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


NO_DECISION = Decision()


def decide(
    operator: str, before: Sequence[str], after: Sequence[str], given: Statistics, returned: Statistics | None = None
) -> Decision:
    """Put together what an operator decided by.

    Args:
        operator: Its name.
        before: Ids of the rows that it was given.
        after: Ids of those that it returned.
        given: Statistics of the former, in their order.
        returned: Of the latter; None: they are what they were.
    """
    remaining = set(after)
    kept = [row for row, row_id in enumerate(before) if row_id in remaining]
    dropped = [row for row, row_id in enumerate(before) if row_id not in remaining]
    bounds = {name: _bounds([values[row] for row in kept]) for name, values in given.items()}
    told = dropped if returned is None else range(len(before))
    facts = {row: {name: values[row] for name, values in given.items()} for row in told}
    reasons = Counter(_reason(operator, facts[row], bounds) for row in dropped)
    dropped_by = Counter(dict.fromkeys(given, 0))
    for (name, _), count in reasons.items():
        if name in given:
            dropped_by[name] += count
    statistic = max(dropped_by, key=dropped_by.__getitem__, default=None)
    left = {name: [values[row] for row in kept] for name, values in given.items()} if returned is None else returned
    return Decision(
        statistic=statistic,
        before=None if statistic is None else _quantiles(given[statistic]),
        after=None if statistic is None else _quantiles(left[statistic]),
        reasons={f"{name} {side}".strip(): count for (name, side), count in reasons.most_common()},
        facts={before[row]: facts[row] for row in facts},
    )


def _reason(operator: str, row: Mapping[str, Any], bounds: Mapping[str, tuple[float, float] | None]) -> tuple[str, str]:
    """The first statistic by which a row lies outside of those that were kept, and on which side."""
    for name, kept in bounds.items():
        value = _number(row[name])
        if kept is None:
            continue
        if value is None:
            return name, "unknown"
        if not kept[0] <= value <= kept[1]:
            return name, "low" if value < kept[0] else "high"
    return operator, ""


def _bounds(values: Sequence[Any]) -> tuple[float, float] | None:
    numbers = [number for value in values if (number := _number(value)) is not None]
    return (min(numbers), max(numbers)) if numbers else None


def _quantiles(values: Sequence[Any]) -> Quantiles | None:
    """None where no value is a number."""
    found = quantiles(map(_number, values), QUANTILES)
    known = {name: value for name, value in found.items() if value is not None}
    return known or None


def _number(value: Any) -> float | None:
    """A statistic as a number: those of images are lists, with one value for a row's one image."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
