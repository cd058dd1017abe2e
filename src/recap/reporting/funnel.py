"""What each operator of a recipe did, as the page shows it: counts, reasons, and the statistic that it judged by.

In: the metrics and details of `process`, also of a run that recorded less. Out: steps, and a chart of each statistic.
"""

import re
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from recap.reporting.intervals import Mark, Track, interval_chart

REASONS_SHOWN = 5
# Names of quantiles that are no number of percent.
NAMED = {"min": 0.0, "median": 50.0, "max": 100.0}

Quantiles = dict[float, float]


@dataclass(frozen=True)
class Statistic:
    """A statistic of the rows before an operator and behind it: values by percent of the rows that lie below."""

    name: str
    before: Quantiles
    after: Quantiles

    @property
    def percents(self) -> list[float]:
        return sorted(self.before.keys() | self.after.keys())

    def chart(self) -> Markup:
        """The quantiles in the middle as dots, the lowest and the highest as the ends of bars."""
        lines = [[_mark(found, style)] for found, style in ((self.before, "a"), (self.after, "b")) if found]
        return interval_chart(
            [Track("", lines)],
            title=self.name,
            description=f"Quantiles of {self.name} before the operator and behind it",
            zero=False,
        )


def _mark(quantiles: Quantiles, style: str) -> Mark:
    percents = sorted(quantiles)
    middle = min(percents, key=lambda percent: abs(percent - 50))
    return Mark(quantiles[middle], quantiles[percents[0]], quantiles[percents[-1]], style)


@dataclass(frozen=True)
class Step:
    """One operator.

    Attributes:
        label: The operator in its recipe.
        rows_in: Rows before it.
        rows_out: Rows behind it.
        dropped: Rows that it dropped.
        changed: Rows whose caption it changed.
        added: Rows that it made of others.
        share_percent: Dropped rows, of those before it.
        reasons: Rows by reason, the most frequent first.
        more_reasons: How many further reasons there are.
        statistic: What it judged rows by; None where it judged none or that was not recorded.
    """

    label: str
    rows_in: int
    rows_out: int
    dropped: int
    changed: int
    added: int
    share_percent: float
    reasons: list[tuple[str, int]]
    more_reasons: int
    statistic: Statistic | None


def funnel_steps(process: dict[str, Any]) -> list[Step] | None:
    """The operators in the recipe's order; None where what they did is not at hand."""
    if "operators" not in process:
        return None
    return [_step(label, found) for label, found in process["operators"].items()]


def _step(label: str, found: dict[str, Any]) -> Step:
    rows_in, dropped = found["rows_in"], found["dropped"]
    share = found.get("share_percent")
    if share is None:
        share = 100 * dropped / rows_in if rows_in else 0.0
    reasons = sorted((found.get("reasons") or {}).items(), key=lambda item: (-item[1], item[0]))
    return Step(
        label,
        rows_in,
        found["rows_out"],
        dropped,
        found["changed"],
        found.get("added", 0),
        share,
        reasons[:REASONS_SHOWN],
        max(0, len(reasons) - REASONS_SHOWN),
        _statistic(found),
    )


def _statistic(found: dict[str, Any]) -> Statistic | None:
    name = found.get("statistic")
    before, after = (_quantiles(found.get(side)) for side in ("before", "after"))
    return Statistic(name, before, after) if name and (before or after) else None


def _quantiles(found: dict[str, Any] | None) -> Quantiles:
    """{"p5": 3.0, "median": 9.0} as {5.0: 3.0, 50.0: 9.0}; what is no number is left out."""
    values = {_percent(name): value for name, value in (found or {}).items() if isinstance(value, int | float)}
    return {percent: value for percent, value in values.items() if percent is not None}


def _percent(name: str) -> float | None:
    if name in NAMED:
        return NAMED[name]
    digits = re.search(r"\d+(?:\.\d+)?", name)
    return float(digits[0]) if digits else None
