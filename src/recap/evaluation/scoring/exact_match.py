"""GQA's exact match, in LLaVA's convention with the strict one beside.

LLaVA strips the answer, drops trailing full stops and lowers its case before the official comparison, which
is worth some 20 points over the official rule on raw model output.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from recap.data.benchmarks.questions import Question
from recap.evaluation.scoring.accuracy import gqa_correct
from recap.evaluation.scoring.aggregation import Row
from recap.evaluation.scoring.base import Answer, Scorer


class ExactMatchScorer(Scorer):
    convention = "llava"

    def accuracy(self, question: Question, prediction: str) -> float:
        return float(gqa_correct(prediction, question.references[0], "llava"))

    def score(self, questions: Sequence[Question], answers: Iterable[Answer]) -> tuple[dict[str, Any], list[Row]]:
        metrics, rows = super().score(questions, answers)
        strict = [gqa_correct(row["prediction"], row["answers"][0], "strict") for row in rows]
        return {**metrics, "accuracy_strict": 100 * sum(strict) / len(strict)}, rows
