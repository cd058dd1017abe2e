"""What each operator of a recipe did, as the page shows it: counts, reasons, and the statistic that it judged by.

In: the metrics and details of `process`, also of a run that recorded less. Out: steps, and a chart of each statistic.
"""

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from recap.reporting.intervals import Mark, Track, interval_chart

REASONS_SHOWN = 5
# What quantiles are called, by their names in the details.
QUANTILE_LABELS = {
    "min": "min", "p5": "5 %", "p25": "25 %", "median": "median", "p75": "75 %", "p95": "95 %", "max": "max",
}  # fmt: skip
# Those that stand also where there is little room.
MAJOR = ("p5", "median", "p95")

Quantiles = dict[str, float]


@dataclass(frozen=True)
class Quantile:
    """A quantile before an operator and behind it; a `minor` one is left out where there is little room."""

    label: str
    before: float | None
    after: float | None
    minor: bool


@dataclass(frozen=True)
class Statistic:
    """A statistic of the rows before an operator and behind it, by its quantiles; none where no row has a number."""

    name: str
    before: Quantiles
    after: Quantiles

    @property
    def moved(self) -> bool:
        """Whether it lies otherwise behind the operator."""
        return self.before != self.after

    def rows(self) -> list[Quantile]:
        """Each quantile before and after, the lowest first."""
        return [
            Quantile(label, self.before.get(name), self.after.get(name), minor=name not in MAJOR)
            for name, label in QUANTILE_LABELS.items()
            if name in self.before or name in self.after
        ]

    def chart(self) -> Markup:
        """Medians as dots, bars from the 5 % quantile to the 95 % quantile."""
        marks = [
            Mark(found["median"], found.get("p5"), found.get("p95"), style)
            for found, style in ((self.before, "a"), (self.after, "b"))
            if found
        ]
        return interval_chart(
            [Track("", [[mark] for mark in marks])],
            title=self.name,
            description=f"Quantiles of {self.name} before the operator and behind it",
            zero=False,
        )


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
        dropped_percent: Dropped rows, of those before it.
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
    dropped_percent: float
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
    reasons = sorted((found.get("reasons") or {}).items(), key=lambda item: (-item[1], item[0]))
    return Step(
        label,
        rows_in,
        found["rows_out"],
        dropped,
        found["changed"],
        found.get("added", 0),
        100 * dropped / rows_in if rows_in else 0.0,
        reasons[:REASONS_SHOWN],
        max(0, len(reasons) - REASONS_SHOWN),
        _statistic(found),
    )


def _statistic(found: dict[str, Any]) -> Statistic | None:
    name, before, after = (found.get(key) for key in ("statistic", "before", "after"))
    return Statistic(name, before or {}, after or {}) if name and (before or after) else None
