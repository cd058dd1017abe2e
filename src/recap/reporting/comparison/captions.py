"""Captions side by side: what each side's training was told about the same picture.

In: the processed corpus and the dropped rows of one run a side. Out: a sample of the rows that the sides treat
differently, each with its raw caption.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from recap.data.corpus.records import caption_of
from recap.reporting.comparison.flips import SEED
from recap.reporting.comparison.sides import Side
from recap.reporting.run import Artifacts, Row
from recap.reporting.sampling import Lowest
from recap.runtime.seeding import derive_seed

SHOWN = 8


@dataclass(frozen=True)
class Told:
    """What one side trained on.

    Attributes:
        caption: As the row carries it; None where it trained on none.
        source: Where it comes from.
        alignment: The cosine of caption and picture; None where it was not scored.
        dropped_because: The operator, and the statistics that it judged the row by. None without a caption: the side
            never had the row, which the other made of another one.
    """

    caption: str | None
    source: str | None = None
    alignment: float | None = None
    dropped_because: str | None = None


@dataclass(frozen=True)
class CaptionPair:
    """One row of the corpus on both sides."""

    id: str
    picture: str | None
    raw: str
    raw_alignment: float | None
    a: Told
    b: Told


def caption_pairs(a: Side, b: Side) -> list[CaptionPair] | None:
    """A sample of the rows that differ; None where the processed corpus of one side is not at hand.

    A row that both sides dropped trained neither and is not shown.
    """
    runs = [side.example.artifacts for side in (a, b)]
    if not all(run.processed for run in runs):
        return None
    chosen = _differing(runs)
    wanted = {row["id"] for row in chosen}
    told = [_told(run, wanted) for run in runs]
    return [
        CaptionPair(
            row["id"],
            _picture(row, runs),
            caption_of(row["raw_text"]),
            row.get("raw_alignment"),
            *(side.get(row["id"], Told(None)) for side in told),
        )
        for row in chosen
    ]


def _differing(runs: list[Artifacts]) -> list[Row]:
    """Rows that one side has alone, or under another caption; side A's where both have it.

    Of a row only the hash of its caption is kept: both sides together may be more than fits into memory.
    """
    hashes = [{row["id"]: hash(caption_of(row["text"])) for row in run.processed} for run in runs]
    of_a, of_b = hashes
    only_in_b = (row for row in runs[1].processed if row["id"] not in of_a)
    sample = Lowest(SHOWN)
    for row in chain(runs[0].processed, only_in_b):
        if of_a.get(row["id"]) != of_b.get(row["id"]):
            rank = derive_seed(SEED, "report", "captions", row["id"])
            sample.offer(rank, row, group=row["images"][0])
    return sample.rows


def _told(run: Artifacts, wanted: set[str]) -> dict[str, Told]:
    return dict(chain(_dropped(run, wanted), _kept(run, wanted)))


def _dropped(run: Artifacts, wanted: set[str]) -> Iterator[tuple[str, Told]]:
    for row in run.dropped:
        if row["id"] in wanted:
            yield row["id"], Told(None, dropped_because=row["reason"])


def _kept(run: Artifacts, wanted: set[str]) -> Iterator[tuple[str, Told]]:
    for row in run.processed:
        if row["id"] in wanted:
            yield row["id"], Told(caption_of(row["text"]), row.get("caption_source"), row.get("alignment"))


def _picture(row: Row, runs: list[Artifacts]) -> str | None:
    pictures = (run.files.thumbnail(run.files.corpus, row["images"][0]) for run in reversed(runs))
    return next((picture for picture in pictures if picture), None)
