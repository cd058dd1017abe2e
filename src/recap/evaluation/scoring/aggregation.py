"""Score rows to accuracies: over all questions, and per type.

In: one row per question with `score` (0-1), `image`, `prediction`, `unanswered` and `groups`. Out: percentages 0-100.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from recap.evaluation.scoring.standard_error import mean_and_standard_error

Row = dict[str, Any]


def accuracy_and_error(rows: Sequence[Row], name: str = "accuracy") -> dict[str, float | None]:
    """`{name: percent, name_stderr: percent}` of rows with `score` and `image`; errors are clustered by image."""
    mean, error = mean_and_standard_error([row["score"] for row in rows], [row["image"] for row in rows])
    return {name: 100 * mean, f"{name}_stderr": None if error is None else 100 * error}


def count_answers(rows: Sequence[Row]) -> dict[str, Any]:
    """How many prompts there were, how many got an answer, and how many of those were empty."""
    reasons = Counter(row["unanswered"] for row in rows if row["unanswered"])
    return {
        "num_expected": len(rows),
        "num_scored": len(rows) - reasons.total(),
        "num_unanswered": reasons.total(),
        "unanswered": dict(sorted(reasons.items())),
        "num_empty": sum(not row["unanswered"] and not row["prediction"].strip() for row in rows),
    }


def accuracy_by_type(rows: Sequence[Row], group: str) -> dict[str, float]:
    """Percent accuracy per type of one group, types in alphabetical order."""
    return {row["type"]: row["accuracy"] for row in breakdown(rows) if row["group"] == group}


def breakdown(rows: Sequence[Row]) -> list[Row]:
    """Accuracy per group and type: `group`, `type`, `accuracy`, `accuracy_stderr` (percent), `num_questions`."""
    members: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        for group, kind in row["groups"].items():
            members.setdefault((group, kind), []).append(row)
    return [
        {"group": group, "type": kind, **accuracy_and_error(part), "num_questions": len(part)}
        for (group, kind), part in sorted(members.items())
    ]
