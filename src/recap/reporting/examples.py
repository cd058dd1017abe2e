"""Which answers the page of a run shows: chosen by the run's seed, never by how well they look.

In: a `Run`. Out: right and wrong answers, each with its picture.
"""

from dataclasses import dataclass
from pathlib import Path

from recap.reporting.answers import accepted, question_images, rotations
from recap.reporting.run import Row, Run
from recap.reporting.sampling import choose

ANSWERS_SHOWN = 4


@dataclass(frozen=True)
class AnswerExample:
    """One question with the model's answer, what was accepted, and the answer without the picture."""

    key: str
    picture: str | None
    question: str
    prediction: str
    accepted: str
    score: float
    blank_prediction: str | None
    options: dict[str, str]
    rotations: str | None


@dataclass(frozen=True)
class AnswerExamples:
    """Right (full score) and wrong (score 0) answers to one benchmark."""

    benchmark: str
    right: list[AnswerExample]
    wrong: list[AnswerExample]


def answer_examples(run: Run) -> list[AnswerExamples]:
    return [_benchmark_examples(run, name, run.scores[name]) for name in run.benchmarks if run.scores.get(name)]


def _benchmark_examples(run: Run, benchmark: str, rows: list[Row]) -> AnswerExamples:
    folder, images = question_images(run.files.benchmarks, benchmark)

    def examples(wanted: float) -> list[AnswerExample]:
        scored = [row for row in rows if row["score"] == wanted]
        what = f"{benchmark} {wanted}"
        chosen = choose(scored, ANSWERS_SHOWN, seed=run.params.seed, what=what, group=lambda row: row["image"])
        return [_answer_example(run, folder, row, images.get(row["key"])) for row in chosen]

    return AnswerExamples(benchmark, right=examples(1.0), wrong=examples(0.0))


def _answer_example(run: Run, folder: Path, row: Row, image: str | None) -> AnswerExample:
    return AnswerExample(
        key=row["key"],
        picture=run.files.thumbnail(folder, image) if image else None,
        question=row["question"],
        prediction=row["prediction"],
        accepted=accepted(row),
        score=row["score"],
        blank_prediction=row.get("blank_prediction"),
        options=row.get("options", {}),
        rotations=rotations(row),
    )
