"""Which captions and answers the page of a run shows: chosen by the run's seed, never by how well they look.

In: a `Run`. Out: captions that were replaced, kept or dropped, and right and wrong answers, each with its picture.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recap.data.corpus.records import caption_of
from recap.reporting.answers import accepted, question_images, rotations
from recap.reporting.run import Run
from recap.reporting.sampling import choose

CAPTIONS_SHOWN = 8
DROPPED_SHOWN = 8
ANSWERS_SHOWN = 4

Row = dict[str, Any]


@dataclass(frozen=True)
class CaptionExample:
    """One image's caption. `after` is None where the row was dropped for `reason`.

    `unused` is what BLIP-2 says of an image whose raw caption the recipe kept.
    """

    id: str
    picture: str | None
    before: str
    after: str | None = None
    reason: str | None = None
    operator: str | None = None
    unused: str | None = None


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


def caption_examples(run: Run) -> list[CaptionExample]:
    """Captions that the recipe replaced; where it replaced none, captions that it kept, with what BLIP-2 says."""
    replaced = [row for row in run.processed if row["caption_source"] == "blip2"]
    rows = replaced or run.processed
    chosen = choose(rows, CAPTIONS_SHOWN, seed=run.params.seed, what="captions", group=lambda row: row["id"])
    return [_caption_example(run, row) for row in chosen]


def _caption_example(run: Run, row: Row) -> CaptionExample:
    image, text = row["images"][0], caption_of(row["text"])
    raw = caption_of(row["raw_text"])
    unused = run.captions.get(image) if row["caption_source"] == "raw" else None
    return CaptionExample(row["id"], run.files.thumbnail(run.files.corpus, image), raw, after=text, unused=unused)


def dropped_examples(run: Run) -> list[CaptionExample]:
    """Rows that the recipe dropped, taken from its operators in turn so that each reason is seen."""
    by_operator: dict[str, list[Row]] = {}
    for row in run.dropped:
        by_operator.setdefault(row["operator"], []).append(row)
    queues = [
        choose(rows, DROPPED_SHOWN, seed=run.params.seed, what=f"dropped {operator}", group=lambda row: row["id"])
        for operator, rows in by_operator.items()
    ]
    turns = (queue[turn] for turn in range(DROPPED_SHOWN) for queue in queues if turn < len(queue))
    return [
        CaptionExample(
            row["id"],
            run.files.thumbnail(run.files.corpus, row["image"]),
            caption_of(row["before"]),
            reason=row["reason"],
            operator=row["operator"],
        )
        for row, _ in zip(turns, range(DROPPED_SHOWN), strict=False)
    ]


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
