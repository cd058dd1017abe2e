"""Per-question scores of a revision, and the pairing of two sides' questions.

In: the text of `data/scores/<benchmark>.jsonl`, rows {"key", "image", "score" 0-1, "blank_score", "question",
"answers", "groups", ...}. Out: arrays that `recap.comparison.statistics` takes. Questions are paired by key; two sides
that were not asked the same questions are not compared.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from recap.evaluation.scoring.standard_error import Floats, Ints
from recap.runtime.errors import UserError

# What a question is, besides its key: two sides that differ here were scored on different benchmarks.
IDENTITY = ("image", "question", "answers", "answer")


@dataclass(frozen=True)
class ScoredQuestion:
    """One scored question.

    Attributes:
        image: Its image; questions that share one are not independent.
        score: 0-1.
        blank_score: Of the answer to the blanked image, 0-1; None where there was no blank pass.
        identity: A text that says what was asked.
        groups: {group: type}, for example {"answer_type": "yes/no"}.
    """

    image: str
    score: float
    blank_score: float | None
    identity: str
    groups: dict[str, str]


@dataclass(frozen=True)
class PairedScores:
    """Scores of both sides on the same N questions, sorted by key; S_a and S_b runs.

    Attributes:
        a: Shape (N, S_a), 0-1.
        b: Shape (N, S_b).
        blank_a: The same for blanked images; None where any run of either side has no blank pass.
        blank_b: Of B.
        clusters: Shape (N,): the image of each question, numbered from 0.
        groups: Of each question.
    """

    a: Floats
    b: Floats
    blank_a: Floats | None
    blank_b: Floats | None
    clusters: Ints
    groups: list[dict[str, str]]


def parse_scores(text: str, where: str) -> dict[str, ScoredQuestion]:
    """Read a score file, keyed by question.

    Raises:
        UserError: A line is not such a row, a score is outside 0-1, or a key occurs twice.
    """
    questions: dict[str, ScoredQuestion] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            key, question = str(row["key"]), _question(row)
        except (json.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(
                f'{where}:{number}: expected {{"key", "image", "score", ...}}, found {line[:80]!r} ({error})'
            ) from None
        for name, score in (("score", question.score), ("blank_score", question.blank_score)):
            if score is not None and not 0 <= score <= 1:
                raise UserError(f"{where}:{number}: expected a {name} from 0 to 1, found {score}")
        if key in questions:
            raise UserError(f"{where}:{number}: expected every key once, found {key!r} again; run `score` again")
        questions[key] = question
    return questions


def _question(row: dict[str, Any]) -> ScoredQuestion:
    blank = row.get("blank_score")
    return ScoredQuestion(
        image=str(row["image"]),
        score=float(row["score"]),
        blank_score=None if blank is None else float(blank),
        identity=json.dumps([row.get(name) for name in IDENTITY], sort_keys=True),
        groups={str(group): str(kind) for group, kind in row.get("groups", {}).items()},
    )


def pair(
    benchmark: str, a: dict[str, dict[str, ScoredQuestion]], b: dict[str, dict[str, ScoredQuestion]]
) -> PairedScores:
    """Line up the questions of every run of both sides.

    Args:
        benchmark: For messages.
        a: Score files of side A: {revision: questions}, one a training seed.
        b: Of side B.

    Raises:
        UserError: Two runs were asked different questions, or the same keys mean different questions.
    """
    runs = {**a, **b}
    first, reference = next(iter(runs.items()))
    for revision, questions in runs.items():
        _require_same_questions(benchmark, first, reference, revision, questions)
    if not reference:
        raise UserError(f"{benchmark}: expected scored questions in {first}, found none")
    keys = sorted(reference)
    images = [reference[key].image for key in keys]
    blank_a, blank_b = _blank_matrix(a, keys), _blank_matrix(b, keys)
    return PairedScores(
        a=_matrix(a, keys),
        b=_matrix(b, keys),
        blank_a=None if blank_b is None else blank_a,
        blank_b=None if blank_a is None else blank_b,
        clusters=np.unique(images, return_inverse=True)[1].astype(np.int64),
        groups=[reference[key].groups for key in keys],
    )


def _require_same_questions(
    benchmark: str,
    first: str,
    reference: dict[str, ScoredQuestion],
    revision: str,
    questions: dict[str, ScoredQuestion],
) -> None:
    only_first, only_other = len(reference.keys() - questions.keys()), len(questions.keys() - reference.keys())
    if only_first or only_other:
        raise UserError(
            f"{benchmark}: expected the same questions in both revisions, found {only_first} only in {first} and "
            f"{only_other} only in {revision} ({len(reference.keys() & questions.keys())} shared); score both on the "
            "same benchmark files"
        )
    changed = sum(reference[key].identity != questions[key].identity for key in reference)
    if changed:
        raise UserError(
            f"{benchmark}: expected the same questions in both revisions, found {changed} keys whose image, question "
            f"or answers differ between {first} and {revision}; score both on the same benchmark files"
        )


def _matrix(side: dict[str, dict[str, ScoredQuestion]], keys: list[str]) -> Floats:
    return np.array([[questions[key].score for questions in side.values()] for key in keys], dtype=np.float64)


def _blank_matrix(side: dict[str, dict[str, ScoredQuestion]], keys: list[str]) -> Floats | None:
    rows = [[questions[key].blank_score for questions in side.values()] for key in keys]
    return None if any(score is None for row in rows for score in row) else np.array(rows, dtype=np.float64)
