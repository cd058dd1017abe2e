"""The comparison as Markdown, to be put into a pull request."""

from recap.comparison.compare import Comparison
from recap.comparison.sentences import closing_sentence, code_sentence, notes, warnings
from recap.comparison.sides import labels
from recap.comparison.tables import (
    Rows,
    flip_rows,
    grounded_rows,
    param_rows,
    run_rows,
    side_metric_rows,
    verdict_rows,
)


def comparison_markdown(found: Comparison) -> str:
    """The verdict first; what it rests on is folded away."""
    a, b = found.a, found.b
    name_a, name_b = labels(a, b)
    code = code_sentence(found.code)
    differing = param_rows(a, b)
    parts = [
        f"### {name_b} against {name_a}",
        *(f"> **{line}**" for line in warnings(a, b, found.incomparable)),
        markdown_table([["differs", "A", "B"], *([item.what, item.a, item.b] for item in found.incomparable)])
        if found.incomparable
        else "",
        closing_sentence(a, b, found.verdicts),
        markdown_table(verdict_rows(a, b, found.verdicts)),
        "\n".join(f"- {line}" for line in notes(a, b, found.verdicts)),
        "**Grounded**: accuracy with the image shown minus with it blanked",
        markdown_table(grounded_rows(a, b, found.verdicts)),
        "**What would settle it**",
        "\n".join(f"- {verdict.benchmark}: {verdict.settles}" for verdict in found.verdicts),
        _folded("Flips: questions, mean over pairs of runs", markdown_table(flip_rows(found.verdicts))),
        _folded("Metrics", markdown_table(side_metric_rows(a, b))),
        _folded(
            "Runs and what differs",
            "\n\n".join(
                [
                    markdown_table([["side", "revision", "commit", "recipe", "seed"], *run_rows(a, b)]),
                    markdown_table([["parameter", "A", "", "B"], *differing]) if differing else "No parameter differs.",
                    *([code] if code else []),
                ]
            ),
        ),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def markdown_table(rows: Rows) -> str:
    """The first column to the left, the others to the right; a bar in a cell is escaped."""
    head, *body = rows
    rule = [":---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in [head, rule, *body])


def _folded(summary: str, content: str) -> str:
    return f"<details><summary>{summary}</summary>\n\n{content}\n\n</details>"
