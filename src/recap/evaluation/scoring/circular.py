"""CircularEval, MMBench's rule (2307.06281 §4.3): a question counts only if it is right under every rotation.

Options are read out of answers by exact matching, without a judge model: see `recap.evaluation.scoring.options`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recap.data.benchmarks.mmbench import PLAIN_ACCURACY, base_index, present_options
from recap.data.benchmarks.questions import Question, prompt_fingerprint
from recap.evaluation.scoring.aggregation import Row, accuracy_and_error, accuracy_by_type, count_answers
from recap.evaluation.scoring.base import Answer, Scorer, prediction_of
from recap.evaluation.scoring.options import REFUSED, extract_choice


@dataclass(frozen=True)
class CircularGroup:
    """One question with the answers to all its rotations.

    Attributes:
        index: The base row's index.
        rows: Its rows in index order; the first pass comes first.
        extracted: What was read out of each row's prediction.
        correct: Whether that is each row's answer.
    """

    index: int
    rows: list[Mapping[str, Any]]
    extracted: list[str | None]
    correct: list[bool]

    @property
    def hit(self) -> bool:
        return all(self.correct)

    @property
    def complete(self) -> bool:
        """Whether there is one row for each rotation; a group with fewer is too easy."""
        return len(self.rows) == len(present_options(self.rows[0]))


def circular_groups(rows: Iterable[Mapping[str, Any]]) -> list[CircularGroup]:
    """Group rows by question, in the order in which questions first appear.

    Args:
        rows: With `index`, `A` to `D`, `answer` (a letter), `prediction` (text) and optionally `g_index`. Rotations
            whose base row is missing are left out, as the reference does.
    """
    by_base: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_base.setdefault(base_index(row), []).append(row)
    groups = []
    for index, members in by_base.items():
        members.sort(key=lambda row: int(row["index"]))
        if int(members[0]["index"]) != index:
            continue
        extracted = [extract_choice(str(row["prediction"]), present_options(row)) for row in members]
        correct = [letter == row["answer"] for letter, row in zip(extracted, members, strict=True)]
        groups.append(CircularGroup(index=index, rows=members, extracted=extracted, correct=correct))
    return groups


class CircularScorer(Scorer):
    """One score per group of rotations."""

    convention = "circular, exact matching, vlmevalkit e8e78f05"

    def convention_of(self, groups: Sequence[CircularGroup]) -> str:
        """The rule as it was applied: where a file lacks rotations, what is computed is plain accuracy, and higher."""
        incomplete = sum(not group.complete for group in groups)
        if not incomplete:
            return self.convention
        share = (
            "" if incomplete == len(groups) else f" for {incomplete} of {len(groups)} questions, circular for the rest"
        )
        return f"{PLAIN_ACCURACY}, as the file lacks rotations{share}; {self.convention.removeprefix('circular, ')}"

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
            "convention": self.convention_of(groups),
            "prompt_fingerprint": prompt_fingerprint(questions),
            **{f"by_{group}": accuracy_by_type(rows, group) for group in self.benchmark.metric_groups},
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
