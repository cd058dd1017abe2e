"""The comparison as plain text for a terminal of 120 columns."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from recap.comparison.compare import Comparison
from recap.comparison.sentences import (
    GROUNDED_HEADING,
    closing_sentence,
    code_sentence,
    flips_heading,
    notes,
    verdict_heading,
    warnings,
)
from recap.comparison.tables import (
    Rows,
    flip_rows,
    grounded_rows,
    incomparable_rows,
    metric_rows,
    param_rows,
    run_rows,
    side_metric_rows,
    verdict_rows,
)

WIDTH = 120


def comparison_text(found: Comparison) -> str:
    """Warnings, runs, what differs, metrics, the verdict, and what would settle it."""
    a, b, verdicts = found.a, found.b, found.verdicts
    code = code_sentence(found.code)
    grounded = table(grounded_rows(a, b, verdicts), left=[0])
    settles = [_wrapped(f"{verdict.benchmark}: {verdict.settles}") for verdict in verdicts]
    parts = [
        *map(_wrapped, warnings(a, b, found.incomparable)),
        table(incomparable_rows(found.incomparable), left=range(3)),
        table(run_rows(a, b), left=range(5)),
        table(param_rows(a, b), left=range(3)) or "No parameter differs.",
        _wrapped(code) if code else "",
        table(side_metric_rows(a, b), left=[0]),
        f"{verdict_heading(a, b)}\n{table(verdict_rows(a, b, verdicts), left=[0, 8])}",
        f"{GROUNDED_HEADING}\n{grounded}" if grounded else "",
        f"{flips_heading(a, b, verdicts)}\n{table(flip_rows(verdicts), left=[0, 1])}",
        "\n".join(["What would settle it", *settles]),
        "\n".join(map(_wrapped, [closing_sentence(a, b, verdicts), *notes(a, b, verdicts)])),
    ]
    return "\n\n".join(part for part in parts if part)


def metrics_text(name_a: str, a: Mapping[str, Any], name_b: str, b: Mapping[str, Any]) -> str:
    """Headline metrics that both revisions have, side by side."""
    return table(metric_rows(name_a, a, name_b, b), left=[0])


def table(rows: Rows, *, left: Sequence[int]) -> str:
    """Columns aligned to the right, except those listed in `left`; nothing where there is a head alone."""
    if len(rows) < 2:
        return ""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.ljust(widths[i]) if i in left else cell.rjust(widths[i]) for i, cell in enumerate(row)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _wrapped(line: str) -> str:
    return textwrap.fill(line, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
