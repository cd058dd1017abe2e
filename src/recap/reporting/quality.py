"""The measures of a corpus before and after processing, and what they changed by.

In: the metrics and details of `quality`: for each measure a number or, with an interval, `{value, low, high}`. Out: the
measures in the order that the page shows them.
"""

from dataclasses import dataclass
from typing import Any

from recap.reporting.labels import QUALITY_LABELS, WHOLE_LABELS

SIDES = ("before", "after")


@dataclass(frozen=True)
class Estimate:
    """A measured value, with the ends of its interval where there is one, and `reason` where there is none."""

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Measure:
    """One property of the corpus before and after processing."""

    name: str
    label: str
    hint: str
    before: Estimate
    after: Estimate
    change: Estimate


def quality_measures(quality: dict[str, Any]) -> list[Measure]:
    """Every property that was measured before and after, the known ones first."""
    before, after, change = (_estimates(quality.get(part) or {}) for part in (*SIDES, "change"))
    shared = [name for name in before if name in after]
    known = [name for name in QUALITY_LABELS if name in shared]
    return [
        Measure(
            name,
            *QUALITY_LABELS.get(name, (name, "")),
            before[name],
            after[name],
            change.get(name) or Estimate(_difference(before[name].value, after[name].value)),
        )
        for name in [*known, *(name for name in shared if name not in known)]
    ]


def whole_corpora(quality: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """Label, before and after of what depends on a corpus's size, and is therefore no measure of a change."""
    before, after = ((quality.get("whole") or {}).get(side) or {} for side in SIDES)
    return [(WHOLE_LABELS.get(name, name), value, after[name]) for name, value in before.items() if name in after]


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def _estimates(found: dict[str, Any], prefix: str = "") -> dict[str, Estimate]:
    """Estimates by dotted name."""
    estimates: dict[str, Estimate] = {}
    for name, value in found.items():
        match value:
            case {"value": number}:
                estimates[prefix + name] = Estimate(number, value.get("low"), value.get("high"), value.get("reason"))
            case dict():
                estimates |= _estimates(value, f"{prefix}{name}.")
            case int() | float() | None:
                estimates[prefix + name] = Estimate(value)
    return estimates
