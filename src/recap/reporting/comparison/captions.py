"""Captions side by side: what each side's training was told about the same picture.

In: the processed corpus and the dropped rows of one run a side. Out: a sample of the rows that the sides treat
differently, each with its raw caption.
"""

from dataclasses import dataclass

from recap.data.corpus.records import caption_of
from recap.reporting.comparison.flips import SEED
from recap.reporting.comparison.sides import Side
from recap.reporting.run import Artifacts
from recap.reporting.sampling import Row, choose

SHOWN = 8


@dataclass(frozen=True)
class Told:
    """What one side trained on: a caption, or None and why the row was dropped."""

    caption: str | None
    dropped_because: str | None = None


@dataclass(frozen=True)
class CaptionPair:
    """One row of the corpus on both sides."""

    id: str
    picture: str | None
    raw: str
    a: Told
    b: Told


def caption_pairs(a: Side, b: Side) -> list[CaptionPair] | None:
    """A sample of the rows that differ; None where the processed corpus of one side is not at hand.

    A row that both sides dropped trained neither and is not shown.
    """
    runs = [side.example.artifacts for side in (a, b)]
    if not all(run.processed for run in runs):
        return None
    told = [_told(run) for run in runs]
    rows = {row["id"]: row for run in reversed(runs) for row in run.processed}
    differing = [row for row in rows.values() if _of(told[0], row["id"]) != _of(told[1], row["id"])]
    return [
        CaptionPair(
            row["id"], _picture(row, runs), caption_of(row["raw_text"]), *(_of(side, row["id"]) for side in told)
        )
        for row in choose(differing, SHOWN, seed=SEED, what="captions", group=lambda row: row["id"])
    ]


def _told(run: Artifacts) -> dict[str, Told]:
    dropped = {row["id"]: Told(None, row["reason"]) for row in run.dropped}
    return dropped | {row["id"]: Told(caption_of(row["text"])) for row in run.processed}


def _of(told: dict[str, Told], id: str) -> Told:
    return told.get(id, Told(None, "no reason recorded"))


def _picture(row: Row, runs: list[Artifacts]) -> str | None:
    pictures = (run.files.thumbnail(run.files.corpus, row["images"][0]) for run in reversed(runs))
    return next((picture for picture in pictures if picture), None)
