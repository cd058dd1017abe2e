"""Which captions and answers the page shows: chosen by the run's seed, never by how well they look.

In: a `Run`. Out: captions that were replaced, kept or dropped, and right and wrong answers, each with its picture.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recap.data.benchmarks.questions import Question
from recap.data.benchmarks.registry import BENCHMARKS
from recap.data.corpus.records import caption_of
from recap.reporting.pictures import thumbnail
from recap.reporting.run import Run
from recap.runtime.seeding import derive_seed

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


@dataclass(frozen=True)
class AnswerExamples:
    """Right (full score) and wrong (score 0) answers to one benchmark."""

    benchmark: str
    right: list[AnswerExample]
    wrong: list[AnswerExample]


def caption_examples(run: Run) -> list[CaptionExample]:
    """Captions that the recipe replaced; where it replaced none, captions that it kept, with what BLIP-2 says."""
    replaced = [row for row in run.processed if row["caption_source"] == "blip2"]
    chosen = _choose(run, replaced or run.processed, "captions", CAPTIONS_SHOWN, lambda row: row["id"])
    return [_caption_example(run, row) for row in chosen]


def _caption_example(run: Run, row: Row) -> CaptionExample:
    image, text = row["images"][0], caption_of(row["text"])
    raw = caption_of(row["raw_text"])
    unused = run.captions.get(image) if row["caption_source"] == "raw" else None
    return CaptionExample(row["id"], thumbnail(run.files.corpus, image), raw, after=text, unused=unused)


def dropped_examples(run: Run) -> list[CaptionExample]:
    """Rows that the recipe dropped, taken from its operators in turn so that each reason is seen."""
    by_operator: dict[str, list[Row]] = {}
    for row in run.dropped:
        by_operator.setdefault(row["operator"], []).append(row)
    queues = [
        _choose(run, rows, f"dropped {operator}", DROPPED_SHOWN, lambda row: row["id"])
        for operator, rows in by_operator.items()
    ]
    turns = (queue[turn] for turn in range(DROPPED_SHOWN) for queue in queues if turn < len(queue))
    return [
        CaptionExample(
            row["id"],
            thumbnail(run.files.corpus, row["image"]),
            caption_of(row["before"]),
            reason=row["reason"],
            operator=row["operator"],
        )
        for row, _ in zip(turns, range(DROPPED_SHOWN), strict=False)
    ]


def answer_examples(run: Run) -> list[AnswerExamples]:
    return [_benchmark_examples(run, name, run.scores[name]) for name in run.benchmarks if run.scores.get(name)]


def _benchmark_examples(run: Run, benchmark: str, rows: list[Row]) -> AnswerExamples:
    folder = run.files.benchmarks / BENCHMARKS[benchmark].folder
    questions = {question.key: question for question in BENCHMARKS[benchmark].load(folder)} if folder.is_dir() else {}

    def choose(wanted: float) -> list[AnswerExample]:
        scored = [row for row in rows if row["score"] == wanted]
        chosen = _choose(run, scored, f"{benchmark} {wanted}", ANSWERS_SHOWN, lambda row: row["image"])
        return [_answer_example(folder, row, questions.get(row["key"])) for row in chosen]

    return AnswerExamples(benchmark, right=choose(1.0), wrong=choose(0.0))


def _answer_example(folder: Path, row: Row, question: Question | None) -> AnswerExample:
    options = row.get("options", {})
    return AnswerExample(
        key=row["key"],
        picture=thumbnail(folder, question.image) if question else None,
        question=row["question"],
        prediction=row["prediction"],
        accepted=_accepted(row["answers"], options),
        score=row["score"],
        blank_prediction=row.get("blank_prediction"),
        options=options,
    )


def _accepted(answers: list[str], options: dict[str, str]) -> str:
    """ "red (8), dark red (2)"; one answer alone without its count; an option's letter with its text."""
    if len(answers) == 1:
        return f"{answers[0]}. {options[answers[0]]}" if answers[0] in options else answers[0]
    return ", ".join(f"{answer} ({count})" for answer, count in Counter(answers).most_common(4))


def _choose(run: Run, rows: Iterable[Row], what: str, count: int, group: Callable[[Row], str]) -> list[Row]:
    """A sample that depends on the seed and the rows' own keys alone, with one row a group first."""
    ranked = sorted(rows, key=lambda row: derive_seed(run.params.seed, "report", what, row.get("key") or row["id"]))
    firsts: list[Row] = []
    rest: list[Row] = []
    seen: set[str] = set()
    for row in ranked:
        (rest if group(row) in seen else firsts).append(row)
        seen.add(group(row))
    return [*firsts, *rest][:count]
