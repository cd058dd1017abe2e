"""Operators that decide by how well a row's caption fits its image: `alignment_filter`, `best_aligned_selector`.

A score belongs to the caption that the row carries at that place of the recipe, raw or BLIP-2's. One that another
operator has changed has none.
"""

from collections.abc import Sequence
from typing import Any

from recap.data.corpus.records import caption_of
from recap.data.processing.captions import alignment_of, required_alignments
from recap.data.processing.juicer import OPERATORS, Fields, Filter, Selector

STATISTIC = "alignment"

Batch = dict[str, list[Any]]


def best_first(scores: Sequence[float | None], ids: Sequence[str]) -> list[int]:
    """Row numbers by falling score, then by id; rows without a score come last."""

    def rank(row: int) -> tuple[bool, float, str]:
        score = scores[row]
        return (True, 0.0, ids[row]) if score is None else (False, -score, ids[row])

    return sorted(range(len(scores)), key=rank)


@OPERATORS.register_module("alignment_filter")
class AlignmentFilter(Filter):
    """Keeps the rows whose caption fits its image by a score within bounds, which are inclusive.

    The score is the statistic `alignment`. A row whose caption has none is dropped.

    Args:
        captions_path: BLIP-2's captions with their scores; supplied by the stage.
        raw_captions_path: The corpus's own; supplied by the stage.
        min_score: A cosine.
        max_score: A cosine.

    Raises:
        UserError: There are no scores.
    """

    _batched_op = True

    def __init__(
        self, captions_path: str, raw_captions_path: str, min_score: float = -1.0, max_score: float = 1.0,
        *args: Any, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(*args, **kwargs)
        self.score_paths = (raw_captions_path, captions_path)
        self.min_score, self.max_score = min_score, max_score
        required_alignments(self._name, *self.score_paths)  # fail now, and let forked workers inherit them

    def compute_stats_batched(self, samples: Batch) -> Batch:
        alignments = required_alignments(self._name, *self.score_paths)
        pairs = zip(samples[self.image_key], samples[self.text_key], samples[Fields.stats], strict=True)
        # Always anew: a caption may be another one since it was last scored.
        scored = [
            {**known, STATISTIC: alignment_of(images[0], caption_of(text), alignments)} for images, text, known in pairs
        ]
        return {**samples, Fields.stats: scored}

    def process_batched(self, samples: Batch) -> list[bool]:
        scores = [statistics[STATISTIC] for statistics in samples[Fields.stats]]
        return [score is not None and self.get_keep_boolean(score, self.min_score, self.max_score) for score in scores]


@OPERATORS.register_module("best_aligned_selector")
class BestAlignedSelector(Selector):
    """Keeps the rows whose captions fit their images best, in the order that they have.

    Ties are broken by id; a row whose caption has no score comes after all others.

    Args:
        captions_path: BLIP-2's captions with their scores; supplied by the stage.
        raw_captions_path: The corpus's own; supplied by the stage.
        share: Of the rows, from 0 to 1.
        number: At most so many rows; 0 sets no limit.

    Raises:
        UserError: There are no scores.
        ValueError: Neither share nor number says how many.
    """

    decides_by = STATISTIC

    def __init__(
        self, captions_path: str, raw_captions_path: str, share: float = 1.0, number: int = 0,
        *args: Any, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(*args, **kwargs)
        if not (0 < share <= 1 and number >= 0 and (share < 1 or number)):
            raise ValueError(f"expected a share from 0 to 1 or a number of rows, found share {share}, number {number}")
        self.score_paths = (raw_captions_path, captions_path)
        self.share, self.number = share, number
        required_alignments(self._name, *self.score_paths)

    def process(self, dataset: Any) -> Any:
        alignments = required_alignments(self._name, *self.score_paths)
        pairs = zip(dataset[self.image_key], dataset[self.text_key], strict=True)
        scores = [alignment_of(images[0], caption_of(text), alignments) for images, text in pairs]
        kept = min(round(self.share * len(scores)), self.number or len(scores))
        return dataset.select(sorted(best_first(scores, list(map(str, dataset["id"])))[:kept]))
