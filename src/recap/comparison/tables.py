"""The tables of a comparison as rows of text, a head first; `printing` and `markdown` lay them out."""

from collections.abc import Mapping, Sequence
from typing import Any

from recap.comparison.comparability import Incomparable
from recap.comparison.flips import ALL
from recap.comparison.headline_metrics import HEADLINE, is_number
from recap.comparison.sides import Side, headings, headline_metrics, params_that_differ
from recap.comparison.statistics import Difference
from recap.comparison.verdict import Verdict

Rows = list[list[str]]
# Types of question listed a benchmark, those with the most flips; the JSON has them all.
TYPES_LISTED = 5
NONE = "-"
_VALUE_WIDTH = 36


def run_rows(a: Side, b: Side) -> Rows:
    return [["side", "revision", "commit", "recipe", "seed"]] + [
        [letter, run.name, run.short, run.recipe, str(run.seed)]
        for letter, side in (("A", a), ("B", b))
        for run in side.runs
    ]


def param_rows(a: Side, b: Side) -> Rows:
    """Parameters that differ; the recipe should be the only one."""
    differing = params_that_differ(a, b)
    return [["parameter", "A", "B"]] + [
        [name, value_text(old), value_text(new)] for name, (old, new) in differing.items()
    ]


def incomparable_rows(found: Sequence[Incomparable]) -> Rows:
    return [["not the same", "A", "B"]] + [[item.what, shortened(item.a), shortened(item.b)] for item in found]


def side_metric_rows(a: Side, b: Side) -> Rows:
    """Headline metrics that every run has, means over the runs of a side."""
    means = {name: (sum(old) / len(old), sum(new) / len(new)) for name, (old, new) in headline_metrics(a, b).items()}
    old, new = ({name: pair[side] for name, pair in means.items()} for side in (0, 1))
    head_a, head_b = headings(a, b)
    return metric_rows(head_a, old, head_b, new)


def metric_rows(name_a: str, a: Mapping[str, Any], name_b: str, b: Mapping[str, Any]) -> Rows:
    """Headline metrics that both have, side by side."""
    rows = [["metric", name_a, name_b, "change"]]
    for name in HEADLINE:
        old, new = a.get(name), b.get(name)
        if is_number(old) and is_number(new):
            rows.append([name, value_text(old), value_text(new), f"{new - old:+.4g}"])
    return rows


def verdict_rows(a: Side, b: Side, verdicts: Sequence[Verdict]) -> Rows:
    """The difference with the images shown; without p and word where recipes are not judged."""
    judged = any(verdict.shown.judged for verdict in verdicts)
    head = ["benchmark", "questions", *headings(a, b), "B - A", interval_heading(a, b)]
    rows = [[*head, "p (Holm)", "detectable", "verdict"] if judged else head]
    for verdict in verdicts:
        row = [verdict.benchmark, f"{verdict.shown.questions:,}", *_difference(verdict.shown)]
        if judged:
            row += [p_text(verdict.p_holm), points(verdict.shown.detectable), verdict.word or NONE]
        rows.append(row)
    return rows


def grounded_rows(a: Side, b: Side, verdicts: Sequence[Verdict]) -> Rows:
    """The difference of shown minus blanked, for the benchmarks that have it."""
    return [["benchmark", *headings(a, b), "B - A", interval_heading(a, b)]] + [
        [verdict.benchmark, *_difference(verdict.grounded)] for verdict in verdicts if verdict.grounded
    ]


def flip_rows(verdicts: Sequence[Verdict]) -> Rows:
    """Flips of every benchmark as a whole, and of the types with the most of them."""
    rows = [["benchmark", "questions of type", "questions", "A wrong, B right", "A right, B wrong"]]
    for verdict in verdicts:
        whole = [flips for flips in verdict.flips if flips.group == ALL]
        types = sorted((f for f in verdict.flips if f.group != ALL), key=lambda f: -(f.gained + f.lost))
        rows += [
            [
                verdict.benchmark,
                ALL if flips.group == ALL else f"{flips.group}: {flips.type}",
                f"{flips.questions:,}",
                f"{flips.gained:.4g}",
                f"{flips.lost:.4g}",
            ]
            for flips in [*whole, *types[:TYPES_LISTED]]
        ]
    return rows


def interval_heading(a: Side, b: Side) -> str:
    """One run a side has an interval over questions, which is not one over recipes."""
    return "95 % over questions" if min(len(a.runs), len(b.runs)) == 1 else "95 % interval"


def _difference(found: Difference) -> list[str]:
    interval = NONE if found.interval is None else "[{:+.2f}, {:+.2f}]".format(*found.interval)
    return [points(found.a), points(found.b), f"{found.difference:+.2f}", interval]


def shortened(text: str) -> str:
    """Hashes and long values cut to what tells them apart."""
    return text if len(text) <= _VALUE_WIDTH else text[: _VALUE_WIDTH - 3] + "..."


def points(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"


def p_text(value: float | None) -> str:
    if value is None:
        return NONE
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def value_text(value: Any) -> str:
    if value is None:
        return NONE
    if isinstance(value, list):
        return ", ".join(map(value_text, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
