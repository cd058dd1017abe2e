"""MMBench: CircularEval by exact matching, no judge model; the rules are in `recap.evaluation.mmbench`."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from recap.evaluation.benchmarks.mmbench import present_options
from recap.evaluation.benchmarks.questions import Question, prompt_fingerprint
from recap.evaluation.mmbench import REFUSED, CircularGroup, circular_groups, extract_choice
from recap.evaluation.scoring.aggregation import Row, accuracy_and_error, accuracy_by_type, count_answers
from recap.evaluation.scoring.base import Answer, Scorer, prediction_of


class MMBenchScorer(Scorer):
    """One score per group of rotations."""

    name = "mmbench"
    convention = "circular, exact matching, vlmevalkit e8e78f05"
    metric_groups = ("l2_category",)

    def accuracy(self, question: Question, prediction: str) -> float:
        return float(extract_choice(prediction, present_options(question.row)) == question.references[0])

    def score(self, questions: Sequence[Question], answers: Iterable[Answer]) -> tuple[dict[str, Any], list[Row]]:
        """Metrics over questions (circular), first passes (vanilla) and rows; one score row per question."""
        by_key = self.match(questions, answers)
        by_row = [self.score_row(question, by_key.get(question.key)) for question in questions]
        groups = circular_groups(
            {**question.row, "prediction": prediction_of(by_key.get(question.key))[0]} for question in questions
        )
        passes = {row["key"]: row for row in by_row}
        rows = [_group_row(group, passes) for group in groups]
        extracted = Counter(letter for group in groups for letter in group.extracted)
        return {
            **accuracy_and_error(rows),
            **accuracy_and_error([passes[row["key"]] for row in rows], "vanilla_accuracy"),
            **accuracy_and_error(by_row, "all_rows_accuracy"),
            "num_questions": len(rows),
            "num_incomplete_groups": sum(not group.complete for group in groups),
            **count_answers(by_row),
            "num_extraction_failures": extracted[None],
            "num_refused": extracted[REFUSED],
            "convention": self.convention,
            "prompt_fingerprint": prompt_fingerprint(questions),
            **{f"by_{group}": accuracy_by_type(rows, group) for group in self.metric_groups},
        }, rows


def _group_row(group: CircularGroup, passes: dict[str, Row]) -> Row:
    """The first pass's row, scored by the whole group."""
    members = [passes[row["index"]] for row in group.rows]
    return {
        **members[0],
        "score": float(group.hit),
        "options": present_options(group.rows[0]),
        "unanswered": next((row["unanswered"] for row in members if row["unanswered"]), None),
        "rotations": [
            {"key": row["key"], "prediction": row["prediction"], "extracted": letter, "answer": row["answers"][0]}
            for row, letter in zip(members, group.extracted, strict=True)
        ],
        "complete": group.complete,
    }
