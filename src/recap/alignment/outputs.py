"""What the stages `align@raw` and `align@blip2` write: rows with their scores, and what these say.

In: a corpus's index, or data/candidates.jsonl; how to score pairs. Out: the rows of data/raw_captions.jsonl, or of
data/captions.jsonl.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from recap.alignment.chance import captions_by_chance, scored_rows
from recap.alignment.choosing import chosen_captions, pairs_of, require_scores, usable
from recap.alignment.scoring import Pair, Scores
from recap.data.corpus.records import read_corpus
from recap.data.statistics.quantiles import quantiles
from recap.io import read_jsonl
from recap.runtime.faults import by_reason

Score = Callable[[list[Pair]], Scores]


@dataclass(frozen=True)
class Aligned:
    """Captions with their scores.

    Attributes:
        rows: Of the file.
        scores: Of all pairs that were scored for them.
        facts: Counts, means and quantiles.
    """

    rows: list[dict[str, Any]]
    scores: Scores
    facts: dict[str, Any]


def align_corpus(index: Path, score: Score) -> Aligned:
    """The corpus's own captions, and what other rows' captions would be worth."""
    records = read_corpus(index)
    others = captions_by_chance(records)
    scores = score(
        [(record.image, record.caption) for record in records]
        + [(records[number].image, other) for number, other in others.items()]
    )
    rows = scored_rows(records, others, scores)
    facts = {
        **describe_scores(scores),
        "alignment": describe_alignment(row["alignment"] for row in rows),
        "chance": describe_alignment(row["chance"] for row in rows),
    }
    return Aligned(rows, scores, facts)


def align_candidates(candidates: Path, index: Path, score: Score, *, choose: str) -> Aligned:
    """Every image's candidates, and which of them is its caption.

    Raises:
        UserError: There is no score to choose by.
    """
    images = list(read_jsonl(candidates))
    scores = score(pairs_of(images))
    require_scores(images, choose, scores.by_pair)
    raw = [record.caption for record in read_corpus(index)]
    rows = list(chosen_captions(images, scores.by_pair, choose=choose, corpus=raw))
    facts = {
        **describe_scores(scores),
        "choose": choose,
        "choices": describe_choices(rows),
        "alignment": describe_alignment(row["alignment"] for row in rows),
    }
    return Aligned(rows, scores, facts)


def describe_scores(scores: Scores) -> dict[str, Any]:
    """Counts of pairs, and why some have no score."""
    return {
        "pairs": scores.num_pairs,
        "cut_texts": scores.num_cut,
        "images_without_score": len(scores.faults),
        "reasons": by_reason(scores.faults.values()),
    }


def describe_alignment(values: Iterable[float | None]) -> dict[str, Any]:
    """Mean and quantiles of cosines, None where there is none."""
    known = [value for value in values if value is not None]
    return {"scored": len(known), "mean": fmean(known) if known else None, **quantiles(known)}


def describe_choices(captions: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many images had a choice, and for how many it fell on another candidate than the first that is no junk."""
    able = [usable(row) for row in captions]
    changed = sum(row["caption"] != own[0]["caption"] for row, own in zip(captions, able, strict=True))
    return {"images": len(captions), "with_several_candidates": sum(len(own) > 1 for own in able), "changed": changed}
