"""Questions that one side answers and the other does not, each with its picture and both answers.

In: score rows of one run a side. Out: a sample of the questions gained (A wrong, B right) and lost (A right, B wrong).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from recap.comparison.flips import RIGHT
from recap.reporting.answers import Row, accepted, question_images, rotations
from recap.reporting.comparison.sides import ComparedRun, Side
from recap.reporting.sampling import choose

SHOWN = 4
# The page of a verdict belongs to no run, so no run's seed draws its sample.
SEED = 0


@dataclass(frozen=True)
class Said:
    """One side's answer; `note` tells under how many rotations of the options it was right."""

    text: str
    right: bool
    note: str | None


@dataclass(frozen=True)
class FlipExample:
    """One question with what each side says."""

    key: str
    picture: str | None
    question: str
    options: dict[str, str]
    accepted: str
    a: Said
    b: Said


@dataclass(frozen=True)
class Flips:
    """What two runs answer differently: how many questions in each direction, and some of them."""

    gained: int
    lost: int
    gained_examples: list[FlipExample]
    lost_examples: list[FlipExample]


def flips(benchmark: str, a: Side, b: Side) -> Flips | None:
    """The flips between the two example runs; None where the answers of one are not at hand."""
    rows_a, rows_b = (side.example.artifacts.scores.get(benchmark, []) for side in (a, b))
    if not rows_a or not rows_b:
        return None
    before = {row["key"]: row for row in rows_a}
    pairs = [(before[row["key"]], row) for row in rows_b if row["key"] in before]
    gained = [(old, new) for old, new in pairs if not _right(old) and _right(new)]
    lost = [(old, new) for old, new in pairs if _right(old) and not _right(new)]
    pictures = _Pictures(benchmark, [b.example, a.example])
    return Flips(
        len(gained),
        len(lost),
        _examples(gained, f"{benchmark} gained", pictures),
        _examples(lost, f"{benchmark} lost", pictures),
    )


def _right(row: Row) -> bool:
    return bool(row["score"] >= RIGHT)


def _examples(pairs: Sequence[tuple[Row, Row]], what: str, pictures: "_Pictures") -> list[FlipExample]:
    before = {old["key"]: old for old, _ in pairs}
    chosen = choose((new for _, new in pairs), SHOWN, seed=SEED, what=what, group=lambda row: row["image"])
    return [
        FlipExample(
            key=row["key"],
            picture=pictures.of(row["key"]),
            question=row["question"],
            options=row.get("options", {}),
            accepted=accepted(row),
            a=_said(before[row["key"]]),
            b=_said(row),
        )
        for row in chosen
    ]


def _said(row: Row) -> Said:
    return Said(row["prediction"], _right(row), rotations(row))


class _Pictures:
    """The pictures of a benchmark's questions, from the first run that has them."""

    def __init__(self, benchmark: str, runs: Sequence[ComparedRun]) -> None:
        self.sources = [(run, *question_images(run.artifacts.files.benchmarks, benchmark)) for run in runs]

    def of(self, key: str) -> str | None:
        for run, folder, images in self.sources:
            if key in images and (picture := run.artifacts.files.thumbnail(folder, images[key])):
                return picture
        return None
