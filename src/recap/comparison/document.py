"""The verdict as JSON: everything that the printed one says, and the numbers behind it."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from recap.comparison.comparability import Incomparable
from recap.comparison.sides import Side, headline_metrics, labels, not_judged_because, params_that_differ, wiring_only
from recap.comparison.statistics import CONFIDENCE, LEVEL, Difference
from recap.comparison.verdict import Verdict

# What a word is taken from, which grounded differences do not get.
NO_WORD = {"p": None, "detectable": None}


def verdict_document(
    a: Side, b: Side, verdicts: Sequence[Verdict], *, incomparable: Sequence[Incomparable], code: Sequence[str]
) -> dict[str, Any]:
    """Points and accuracies are 0-100, p is 0-1; None where a number does not exist.

    Args:
        a: Side A.
        b: Side B.
        verdicts: On their benchmarks.
        incomparable: What was forced.
        code: Files of code and recipes that differ between runs.
    """
    because = not_judged_because(a, b)
    name_a, name_b = labels(a, b)
    document = {
        "a": _side(a, name_a),
        "b": _side(b, name_b),
        "judged": because is None,
        "not_judged_because": because and f"{because}: the recipe is not judged",
        "wiring_only": wiring_only(a, b),
        "incomparable": [asdict(item) for item in incomparable],
        "params": {name: {"a": old, "b": new} for name, (old, new) in params_that_differ(a, b).items()},
        "code": list(code),
        "metrics": {
            name: {"a": sum(old) / len(old), "b": sum(new) / len(new), "a_runs": old, "b_runs": new}
            for name, (old, new) in headline_metrics(a, b).items()
        },
        "confidence": CONFIDENCE,
        "level": LEVEL,
        "benchmarks": {verdict.benchmark: _benchmark(verdict) for verdict in verdicts},
    }
    rounded: dict[str, Any] = _rounded(document)
    return rounded


def _side(side: Side, label: str) -> dict[str, Any]:
    runs = [{"revision": run.name, "commit": run.commit, "seed": run.seed} for run in side.runs]
    return {"label": label, "recipe": side.runs[0].recipe, "runs": runs}


def _benchmark(verdict: Verdict) -> dict[str, Any]:
    return {
        "word": verdict.word,
        "p_holm": verdict.p_holm,
        "shown": _difference(verdict.shown),
        "grounded": None if verdict.grounded is None else _difference(verdict.grounded) | NO_WORD,
        "flips": [asdict(flips) for flips in verdict.flips],
        "settles": verdict.settles,
    }


def _difference(found: Difference) -> dict[str, Any]:
    low, high = found.interval or (None, None)
    return {
        "questions": found.questions,
        "images": found.images,
        "changed_images": found.changed_images,
        "a": found.a,
        "b": found.b,
        "difference": found.difference,
        "low": low,
        "high": high,
        "interval_over": found.interval_over,
        "no_interval": found.no_interval,
        "standard_error": None if found.no_interval else found.variances.standard_error,
        "degrees_of_freedom": None if found.no_interval else found.variances.degrees_of_freedom,
        "p": found.p,
        "detectable": found.detectable,
    }


def _rounded(value: Any) -> Any:
    """Six significant digits, so that a small p keeps its size and a diff stays readable."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value
