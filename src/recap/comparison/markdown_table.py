"""Rows of text as a Markdown table."""

from collections.abc import Sequence

from recap.runtime.display import in_table


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """The first column to the left, the others to the right; nothing where there is a head alone."""
    if len(rows) < 2:
        return ""
    head, *body = rows
    rule = [":---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(map(in_table, row)) + " |" for row in [head, rule, *body])
