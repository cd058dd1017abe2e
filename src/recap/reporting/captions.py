"""Which captions the page of a run shows: those that fit their pictures better or worse than before, and a random lot.

In: a `Run`. Out: rows of the corpus before and after, each with its picture and with what BLIP-2 offered for it. The
choice is the run's seed's and the aligner's, never a matter of looks.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from recap.data.corpus.records import caption_of
from recap.reporting.run import Row, Run
from recap.reporting.sampling import Lowest
from recap.runtime.seeding import derive_seed

PAIRS_SHOWN, BETTER_SHOWN, WORSE_SHOWN = 20, 6, 6
DROPPED_SHOWN = 8
OWN_FIELDS = ("id", "text", "images", "raw_text", "caption_source", "alignment", "raw_alignment")
# What candidates are scored by, in the order shown.
SCORES = ("alignment", "itm", "novelty")


@dataclass(frozen=True)
class Caption:
    """A caption and its alignment: the cosine of caption and picture, in [-1, 1]; None where it was not scored."""

    text: str
    alignment: float | None = None


@dataclass(frozen=True)
class Candidate:
    """One of BLIP-2's captions of an image.

    Attributes:
        caption: Its text.
        chosen: Whether it is the one that recipes are given.
        junk: Why it can be no caption, or None.
        truncated: Whether the limit of tokens ended it.
        prompt: The text that it continues.
        scores: Its scores by name; those that were not computed are left out.
    """

    caption: str
    chosen: bool
    junk: str | None
    truncated: bool
    prompt: str
    scores: dict[str, float]


@dataclass(frozen=True)
class CaptionPair:
    """A row of the corpus before and after processing.

    Attributes:
        id: Of the row.
        picture: As a data URI; None where it cannot be shown.
        raw: The corpus's caption; None where it is not known.
        carried: The caption that the row went out with, or that it had when it was dropped.
        source: Where that one comes from, as the row says; None of a dropped row.
        candidates: What BLIP-2 offered for the picture.
        operator: The operator that dropped the row; None of a row that remains.
        reason: The statistics that the operator judged it by, or the operator's name where it has none.
    """

    id: str
    picture: str | None
    raw: Caption | None
    carried: Caption
    source: str | None = None
    candidates: tuple[Candidate, ...] = ()
    operator: str | None = None
    reason: str | None = None

    @property
    def replaced(self) -> bool:
        return self.raw is None or self.raw.text != self.carried.text

    @property
    def change(self) -> float | None:
        """By how much the carried caption fits the picture better than the raw one; None where one has no score."""
        if self.raw is None or self.raw.alignment is None or self.carried.alignment is None:
            return None
        return self.carried.alignment - self.raw.alignment

    @property
    def offered(self) -> tuple[Candidate, ...]:
        """The candidates, unless the only one is the caption that the row carries."""
        alone = len(self.candidates) == 1 and self.candidates[0].caption == self.carried.text
        return () if alone and not self.candidates[0].junk else self.candidates


@dataclass(frozen=True)
class CaptionPairs:
    """The rows that a page shows.

    Attributes:
        better: Remaining rows whose new caption gained most alignment, the most first.
        worse: Those whose new caption lost most, or gained least, the worst first.
        drawn: Other rows by the run's seed, dropped ones among them.
        dropped: Rows that the recipe dropped, from its operators in turn so that each is seen.
    """

    better: list[CaptionPair]
    worse: list[CaptionPair]
    drawn: list[CaptionPair]
    dropped: list[CaptionPair]


def caption_pairs(run: Run) -> CaptionPairs:
    """Choose `PAIRS_SHOWN` rows, each of another picture within its group, and rows that each operator dropped.

    Every file is gone through once, and no more rows are kept than are shown.
    """
    better, worse, drawn = Lowest(BETTER_SHOWN), Lowest(BETTER_SHOWN + WORSE_SHOWN), Lowest(PAIRS_SHOWN)
    by_operator: dict[str, Lowest] = {}
    for row in chain(map(_without_users_fields, run.processed), run.dropped):
        luck, image = derive_seed(run.params.seed, "report", "captions", row["id"]), _image(row)
        drawn.offer(luck, row, group=image)
        if "operator" in row:
            by_operator.setdefault(row["operator"], Lowest(DROPPED_SHOWN)).offer(luck, row, group=image)
        elif (change := _change(row)) is not None:
            better.offer((-change, luck), row, group=image)
            worse.offer((change, luck), row, group=image)
    gained = better.rows
    lost = _others(worse.rows, gained)[:WORSE_SHOWN]
    rest = _others(drawn.rows, [*gained, *lost])[: PAIRS_SHOWN - len(gained) - len(lost)]
    return CaptionPairs(*_pairs(run, gained, lost, rest, _in_turn([lowest.rows for lowest in by_operator.values()])))


def _without_users_fields(row: Row) -> Row:
    """A row of the processed corpus as Recap wrote it: a user's own field may be called `operator` or `reason`."""
    return {name: row[name] for name in OWN_FIELDS if name in row}


def _in_turn(queues: list[list[Row]]) -> list[Row]:
    """The first of each queue, then the second of each, up to `DROPPED_SHOWN`."""
    turns = (queue[turn] for turn in range(DROPPED_SHOWN) for queue in queues if turn < len(queue))
    return list(islice(turns, DROPPED_SHOWN))


def _change(row: Row) -> float | None:
    """What replacing its caption did to a row's alignment; None of a row that was dropped or kept its caption."""
    after, before = row.get("alignment"), row.get("raw_alignment")
    if after is None or before is None or row.get("raw_text") is None or _carried(row) == caption_of(row["raw_text"]):
        return None
    return float(after - before)


def _others(rows: Iterable[Row], shown: Iterable[Row]) -> list[Row]:
    known = {row["id"] for row in shown}
    return [row for row in rows if row["id"] not in known]


def _image(row: Row) -> str:
    return str(row["images"][0] if "images" in row else row["image"])


def _carried(row: Row) -> str:
    return caption_of(row["text"] if "text" in row else row["before"])


def _pairs(run: Run, *groups: list[Row]) -> list[list[CaptionPair]]:
    """The rows of each group with what other files say of them and of their pictures."""
    rows = list(chain.from_iterable(groups))
    raw = _found(run.raw_captions, "id", {row["id"] for row in rows if "raw_text" not in row})
    captioned = _found(run.captions, "image", {_image(row) for row in rows})
    return [[_pair(run, row, raw.get(row["id"]), captioned.get(_image(row))) for row in group] for group in groups]


def _found(rows: Iterable[Row], key: str, wanted: set[str]) -> dict[str, Row]:
    return {row[key]: row for row in rows if row[key] in wanted} if wanted else {}


def _pair(run: Run, row: Row, raw: Row | None, captioned: Row | None) -> CaptionPair:
    """
    Args:
        row: Of the processed corpus, or of the trace of a dropped row.
        raw: Of a dropped row the corpus's row with its score.
        captioned: What BLIP-2 says of the picture.
    """
    before = _raw_caption(row, raw)
    known = {caption.text: caption.alignment for caption in (_blip2_caption(captioned), before) if caption}
    text = _carried(row)
    return CaptionPair(
        row["id"],
        run.files.thumbnail(run.files.corpus, _image(row)),
        before,
        Caption(text, row["alignment"] if row.get("alignment") is not None else known.get(text)),
        source=row.get("caption_source"),
        candidates=_candidates(captioned),
        operator=row.get("operator"),
        reason=row["reason"].partition(": ")[2] or row["reason"] if "reason" in row else None,
    )


def _raw_caption(row: Row, raw: Row | None) -> Caption | None:
    if "raw_text" in row:
        return Caption(caption_of(row["raw_text"]), row.get("raw_alignment"))
    return Caption(raw["caption"], raw.get("alignment")) if raw else None


def _blip2_caption(captioned: Row | None) -> Caption | None:
    return Caption(captioned["caption"], captioned.get("alignment")) if captioned else None


def _candidates(captioned: Row | None) -> tuple[Candidate, ...]:
    """The candidates, the chosen one first; a run of one candidate an image may have recorded that one alone."""
    if captioned is None:
        return ()
    chosen = captioned["caption"]
    offered: list[dict[str, Any]] = captioned.get("candidates") or [captioned]
    first = next((index for index, each in enumerate(offered) if each["caption"] == chosen and not each.get("junk")), 0)
    candidates = [
        Candidate(
            each["caption"],
            chosen=index == first,
            junk=each.get("junk"),
            truncated=bool(each.get("truncated")),
            prompt=each.get("prompt") or "",
            scores={name: each[name] for name in SCORES if each.get(name) is not None},
        )
        for index, each in enumerate(offered)
    ]
    return tuple(sorted(candidates, key=lambda candidate: not candidate.chosen))
