"""Per-question scores of a revision, and the pairing of two revisions' questions.

In: the text of `data/scores/<benchmark>.jsonl`, rows {"key", "image", "score" 0-1, "question", "answers", ...}.
Out: arrays that `recap.comparison.statistics` takes. Questions are paired by key; two sides that were not asked the
same questions are not compared.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from recap.comparison.statistics import Floats, Ints
from recap.runtime.errors import UserError

# What a question is, besides its key: two sides that differ here were scored on different benchmarks.
IDENTITY = ("image", "question", "answers", "answer")


@dataclass(frozen=True)
class Question:
    """One scored question: its image, its score (0-1) and a text that identifies what was asked."""

    image: str
    score: float
    identity: str


@dataclass(frozen=True)
class PairedScores:
    """Scores of both sides on the same questions: `a` (N, S_a), `b` (N, S_b) in 0-1, `clusters` (N,) from 0."""

    a: Floats
    b: Floats
    clusters: Ints


def parse_scores(text: str, where: str) -> dict[str, Question]:
    """Read a score file, keyed by question.

    Raises:
        UserError: A line is not such a row, a score is outside 0-1, or a key occurs twice.
    """
    questions: dict[str, Question] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            key, image, score = str(row["key"]), str(row["image"]), float(row["score"])
        except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise UserError(
                f'{where}:{number}: expected {{"key", "image", "score", ...}}, found {line[:80]!r} ({error})'
            ) from None
        if not 0 <= score <= 1:
            raise UserError(f"{where}:{number}: expected a score from 0 to 1, found {score}")
        if key in questions:
            raise UserError(f"{where}:{number}: expected every key once, found {key!r} again; run `score` again")
        questions[key] = Question(image, score, _identity(row))
    return questions


def _identity(row: dict[str, Any]) -> str:
    return json.dumps([row.get(name) for name in IDENTITY], sort_keys=True)


def pair(benchmark: str, a: dict[str, dict[str, Question]], b: dict[str, dict[str, Question]]) -> PairedScores:
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
    clusters = np.unique(images, return_inverse=True)[1].astype(np.int64)
    return PairedScores(_matrix(a, keys), _matrix(b, keys), clusters)


def _require_same_questions(
    benchmark: str, first: str, reference: dict[str, Question], revision: str, questions: dict[str, Question]
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


def _matrix(side: dict[str, dict[str, Question]], keys: list[str]) -> Floats:
    return np.array([[questions[key].score for questions in side.values()] for key in keys], dtype=np.float64)
