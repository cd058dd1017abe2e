"""The comparison as Markdown, to be put into a pull request."""

from recap.comparison.compare import Comparison
from recap.comparison.markdown_table import markdown_table
from recap.comparison.sentences import (
    GROUNDED_HEADING,
    closing_sentence,
    code_sentence,
    flips_heading,
    notes,
    verdict_heading,
    warnings,
)
from recap.comparison.sides import labels
from recap.comparison.tables import (
    Rows,
    flip_rows,
    grounded_rows,
    incomparable_rows,
    param_rows,
    run_rows,
    side_metric_rows,
    verdict_rows,
)
from recap.runtime.display import in_markdown


def comparison_markdown(found: Comparison) -> str:
    """The verdict first; what it rests on is folded away."""
    a, b, verdicts = found.a, found.b, found.verdicts
    name_a, name_b = labels(a, b)
    grounded = _table(grounded_rows(a, b, verdicts))
    differences = [
        _table(run_rows(a, b)),
        _table(param_rows(a, b)) or "No parameter differs.",
        in_markdown(code_sentence(found.code) or ""),
    ]
    parts = [
        f"### {in_markdown(name_b)} against {in_markdown(name_a)}",
        *(f"> **{in_markdown(line)}**" for line in warnings(a, b, found.incomparable)),
        _table(incomparable_rows(found.incomparable)),
        in_markdown(closing_sentence(a, b, verdicts)),
        f"**{verdict_heading(a, b)}**",
        _table(verdict_rows(a, b, verdicts)),
        "\n".join(f"- {in_markdown(line)}" for line in notes(a, b, verdicts)),
        f"**{GROUNDED_HEADING}**" if grounded else "",
        grounded,
        "**What would settle it**",
        "\n".join(f"- {verdict.benchmark}: {verdict.settles}" for verdict in verdicts),
        _folded(flips_heading(a, b, verdicts), _table(flip_rows(verdicts))),
        _folded("Metrics", _table(side_metric_rows(a, b)) or "None in common."),
        _folded("Runs and what differs", "\n\n".join(part for part in differences if part)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(rows: Rows) -> str:
    """Names of runs, parameters, files and types of questions are other people's text."""
    return markdown_table([list(map(in_markdown, row)) for row in rows])


def _folded(summary: str, content: str) -> str:
    return f"<details><summary>{summary}</summary>\n\n{content}\n\n</details>"
