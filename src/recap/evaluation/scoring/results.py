"""One benchmark's results, put together for `metrics/`, `plots/` and the per-question score file."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from recap.data.benchmarks.questions import Question
from recap.evaluation.scoring.aggregation import Row, breakdown
from recap.evaluation.scoring.base import Answer, Scorer
from recap.io import atomic_path, write_csv
from recap.runtime.errors import UserError


def score_with_blank(
    scorer: Scorer, questions: Sequence[Question], answers: Iterable[Answer], blank_answers: Sequence[Answer]
) -> tuple[dict[str, Any], list[Row]]:
    """Score answers, and beside them the same model's answers to blanked images.

    Args:
        scorer: The benchmark's rule.
        questions: The benchmark's, all of them.
        answers: Rows of the answer file.
        blank_answers: Rows of the blank pass; empty where it was not made.

    Returns:
        Metrics with `blank_accuracy` and `blank_accuracy_stderr` (None without a blank pass), and score rows, with
        `blank_score` and `blank_prediction` where there was one.
    """
    metrics, rows = scorer.score(questions, answers)
    blank: dict[str, Any] = {}
    if blank_answers:
        blank, blank_rows = scorer.score(questions, blank_answers)
        for row, without_image in zip(rows, blank_rows, strict=True):
            row |= {"blank_score": without_image["score"], "blank_prediction": without_image["prediction"]}
    headline = {name: metrics.pop(name) for name in ("accuracy", "accuracy_stderr")}
    return headline | {f"blank_{name}": blank.get(name) for name in headline} | metrics, rows


def check_answered(metrics: dict[str, Any], max_unanswered: float, answers: str | Path) -> None:
    """Stop when too many questions have no answer: the accuracy would speak of something else.

    Args:
        metrics: With `num_expected`, `num_unanswered` and `unanswered`, the count per reason.
        max_unanswered: Percent.
        answers: The file that is blamed.

    Raises:
        UserError: The share exceeds the limit.
    """
    share = 100 * metrics["num_unanswered"] / metrics["num_expected"]
    if share > max_unanswered:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in metrics["unanswered"].items())
        raise UserError(
            f"{answers}: expected at most {max_unanswered} % of {metrics['num_expected']} questions without an answer "
            f"(score.max_unanswered), found {share:.2f} % ({reasons}); mend the images or raise the limit"
        )


def write_breakdown(folder: str | Path, rows: Sequence[Row]) -> None:
    """Write `by_type.csv`, the accuracy per group and type.

    Args:
        folder: Replaced as a whole.
        rows: Score rows.
    """
    with atomic_path(folder) as draft:
        draft.mkdir()
        columns = ["group", "type", "accuracy", "accuracy_stderr", "num_questions"]
        found = ([row[column] for column in columns] for row in breakdown(rows))
        write_csv(draft / "by_type.csv", columns, found)
