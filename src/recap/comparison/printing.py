"""The comparison as plain text for a terminal of 120 columns."""

from collections.abc import Mapping, Sequence
from typing import Any

from recap.comparison.compare import Comparison
from recap.comparison.sentences import closing_sentence, code_sentence, notes, warnings
from recap.comparison.tables import (
    Rows,
    flip_rows,
    grounded_rows,
    metric_rows,
    param_rows,
    run_rows,
    side_metric_rows,
    verdict_rows,
)


def comparison_text(found: Comparison) -> str:
    """Warnings, runs, what differs, metrics, the verdict, and what would settle it."""
    a, b = found.a, found.b
    code = code_sentence(found.code)
    differing = param_rows(a, b)
    parts = [
        *warnings(a, b, found.incomparable),
        _indented(
            [["differs", "A", "B"], *([item.what, _short(item.a), _short(item.b)] for item in found.incomparable)]
            if found.incomparable
            else [],
            left=range(3),
        ),
        table(run_rows(a, b), left=range(5)),
        "\n".join(
            [
                "Parameters that differ",
                _indented(differing, left=range(4)) or "  none",
                *([code] if code else []),
            ]
        ),
        _metrics(side_metric_rows(a, b)),
        "Verdict: points of 100\n" + table(verdict_rows(a, b, found.verdicts), left=[0, 8]),
        "Grounded: accuracy with the image shown minus with it blanked\n"
        + table(grounded_rows(a, b, found.verdicts), left=[0]),
        "Flips: questions, mean over pairs of runs\n" + table(flip_rows(found.verdicts), left=[0, 1]),
        "What would settle it\n" + _indented([[v.benchmark, v.settles] for v in found.verdicts], left=[0, 1]),
        "\n".join([closing_sentence(a, b, found.verdicts), *notes(a, b, found.verdicts)]),
    ]
    return "\n\n".join(part for part in parts if part)


def metrics_text(name_a: str, a: Mapping[str, Any], name_b: str, b: Mapping[str, Any]) -> str:
    """Headline metrics that both revisions have, side by side."""
    return _metrics(metric_rows(name_a, a, name_b, b))


def _metrics(rows: Rows) -> str:
    head, *body = rows
    if not body:
        return "Metrics\n  none in common"
    return table([["Metrics", *head[1:]], *(["  " + row[0], *row[1:]] for row in body)], left=[0])


def _indented(rows: Rows, *, left: Sequence[int]) -> str:
    return table([["  " + row[0], *row[1:]] for row in rows], left=left) if rows else ""


def _short(text: str) -> str:
    return text if len(text) <= _VALUE_WIDTH else text[: _VALUE_WIDTH - 3] + "..."


_VALUE_WIDTH = 36


def table(rows: Rows, *, left: Sequence[int]) -> str:
    """Columns aligned to the right, except those listed in `left`."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.ljust(widths[i]) if i in left else cell.rjust(widths[i]) for i, cell in enumerate(row)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
