"""Which of an image's candidates becomes its caption.

In: rows of data/candidates.jsonl, with scores where there are any. Out: rows of data/captions.jsonl. Candidates are
taken in their order: the first of equals is chosen, and none that the captioner's stage called junk.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from recap.alignment.aligners import Score
from recap.alignment.scoring import Pair, Scored
from recap.runtime.errors import UserError

NGRAM = 3
"""Words in the runs that novelty counts: short enough that some are shared, long enough to tell phrases."""

BY_SCORE = {"alignment": "a model that aligns", "itm": "a model with a matching head (BLIP-2 with ITM)"}
"""The ways to choose that need a score, and whose it is."""


@dataclass
class Corpus:
    """The runs of `NGRAM` words that captions have so far."""

    ngrams: set[str] = field(default_factory=set)

    def novelty(self, caption: str) -> float:
        """Share of a caption's runs that no caption has yet, in [0, 1]; 0 for a caption without words."""
        own = ngrams(caption)
        return len(own - self.ngrams) / len(own) if own else 0.0

    def add(self, caption: str) -> None:
        self.ngrams |= ngrams(caption)


def ngrams(caption: str) -> set[str]:
    """The different runs of `NGRAM` words of a caption, case and punctuation aside; a shorter caption is one run."""
    words = re.findall(r"\w+", caption.casefold())
    runs = [words[start : start + NGRAM] for start in range(max(len(words) - NGRAM, 0) + 1)] if words else []
    return {" ".join(run) for run in runs}


def usable(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """An image's candidates that are no junk."""
    return [candidate for candidate in row["candidates"] if candidate["junk"] is None]


def pairs_of(rows: Iterable[Mapping[str, Any]]) -> list[Pair]:
    """The images and captions of rows of data/candidates.jsonl, without junk."""
    return [(row["image"], candidate["caption"]) for row in rows for candidate in usable(row)]


def require_scores(rows: Iterable[Mapping[str, Any]], choose: str, scores: Mapping[Pair, Scored]) -> None:
    """`require_score` where some image has several candidates: with one, there is nothing to choose."""
    if any(len(usable(row)) > 1 for row in rows):
        require_score(choose, scores.values())


def require_score(choose: str, scores: Iterable[Score | Scored]) -> None:
    """Refuse to choose by a score that nothing has.

    Raises:
        UserError: None of `scores` has it.
    """
    if choose in BY_SCORE and all(getattr(score, choose) is None for score in scores):
        raise UserError(
            f"align.choose: {choose}: expected {BY_SCORE[choose]} at models.aligner.path, found none, and several "
            "candidates per image; name such a model, or set align.choose to novelty or first"
        )


def chosen_captions(
    rows: Iterable[Mapping[str, Any]], scores: Mapping[Pair, Scored], *, choose: str, corpus: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """The rows of data/captions.jsonl: of each image that has a caption, in order.

    Novelty is against the corpus's own captions and those chosen before, so it depends on the order of rows, and on
    nothing else.

    Args:
        rows: Of data/candidates.jsonl, in the corpus's order.
        scores: By image and caption.
        choose: alignment, itm, novelty or first. A picture that has no score keeps its first candidate.
        corpus: The raw captions; only read for novelty.
    """
    seen = Corpus()
    if choose == "novelty":
        for caption in corpus:
            seen.add(caption)
    for row in rows:
        candidates = [
            {**candidate, **_scores_of(scores.get((row["image"], candidate["caption"]))), "novelty": None}
            for candidate in row["candidates"]
        ]
        able = usable({"candidates": candidates})
        if not able:
            continue
        if choose == "novelty":
            for candidate in able:
                candidate["novelty"] = round(seen.novelty(candidate["caption"]), 6)
        best = able[0]
        if choose != "first":
            best = max(able, key=lambda candidate: -2.0 if candidate[choose] is None else candidate[choose])
        seen.add(best["caption"])
        yield {
            "image": row["image"],
            "caption": best["caption"],
            "alignment": best["alignment"],
            "candidates": candidates,
        }


def _scores_of(score: Scored | None) -> dict[str, float | None]:
    return {"alignment": score.alignment if score else None, "itm": score.itm if score else None}
