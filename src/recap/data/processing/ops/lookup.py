"""BLIP-2's captions, looked up: `blip2_captioned_filter` and `blip2_caption_lookup_mapper`."""

from copy import deepcopy
from typing import Any

import pyarrow

from recap.data.processing.captions import (
    BLIP2,
    alignment_of,
    read_captions,
    required_alignments,
    value_for,
)
from recap.data.processing.juicer import (
    NON_STATS_FILTERS,
    OPERATORS,
    Fields,
    Filter,
    load_ops,
    pre_instantiation_check,
)
from recap.data.processing.ops.alignment import STATISTIC, best_first
from recap.data.processing.ops.corpus_mapper import CorpusMapper
from recap.runtime.seeding import derive_seed

Batch = dict[str, list[Any]]

RULES_BATCH = 1_000
"""Captions that a rule judges at a time, as many as Data-Juicer gives it."""


@OPERATORS.register_module("blip2_captioned_filter")
@NON_STATS_FILTERS.register_module("blip2_captioned_filter")
class Blip2CaptionedFilter(Filter):
    """Keeps the rows whose image has a BLIP-2 caption.

    Args:
        captions_path: The captions; supplied by the stage.
    """

    _batched_op = True

    def __init__(self, captions_path: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.captions_path = captions_path
        read_captions(captions_path)  # fail now, and let forked workers inherit it

    def compute_stats_batched(self, samples: Batch) -> Batch:
        return samples

    def process_batched(self, samples: Batch) -> list[bool]:
        captions = read_captions(self.captions_path)
        return [value_for(images[0], captions) is not None for images in samples[self.image_key]]


@OPERATORS.register_module("blip2_caption_lookup_mapper")
class Blip2CaptionLookupMapper(CorpusMapper):
    """Puts the BLIP-2 caption of a row's image in the place of its text, and notes it in `caption_source`.

    Without further arguments in every row; each argument is a condition, and all that are given must hold. A row whose
    image has no caption keeps its own; put `blip2_captioned_filter` before this operator to drop it instead. The text
    that was there stands in `raw_text`. Statistics of text end here.

    Args:
        captions_path: The captions; supplied by the stage.
        raw_captions_path: The corpus's own captions with their scores; supplied by the stage.
        worst_aligned_share: Only in this share of the rows, those whose captions fit their images worst; ties are
            broken by id, and rows without a score are not among them.
        best_of: Only where BLIP-2's caption fits the image better than the row's own; both must have a score.
        raw_probability: A row keeps its own caption with this probability, drawn by the seed and its id.
        only_where_raw_fails: Data-Juicer text filters, in the form of a `process:` list: only where a caption fails
            one of them.
        keep_original_sample: Keep the row with its own caption too, before the one with BLIP-2's. Recap calls the
            latter ID_2; Data-Juicer by itself leaves both with one id.
        seed: Of the draw; supplied by the stage.

    Raises:
        UserError: Scores are needed and there are none.
        ValueError: A share or probability is not between 0 and 1.
    """

    def __init__(
        self, captions_path: str, raw_captions_path: str = "", worst_aligned_share: float = 1.0, best_of: bool = False,
        raw_probability: float = 0.0, only_where_raw_fails: list[dict[str, Any]] | None = None,
        keep_original_sample: bool = False, seed: int = 42, *args: Any, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(*args, **kwargs)
        for name, value in (("worst_aligned_share", worst_aligned_share), ("raw_probability", raw_probability)):
            if not isinstance(value, int | float) or not 0 <= value <= 1:
                raise ValueError(f"{name}: expected a number from 0 to 1, found {value}")
        self.captions_path, self.seed = captions_path, seed
        self.score_paths = [path for path in (raw_captions_path, captions_path) if path]
        self.worst_aligned_share, self.best_of = worst_aligned_share, best_of
        self.raw_probability, self.keep_original_sample = raw_probability, keep_original_sample
        self.decides_by = STATISTIC if best_of or worst_aligned_share < 1 else None
        read_captions(captions_path)  # fail now
        if self.decides_by:
            required_alignments(self._name, *self.score_paths)
        pre_instantiation_check(only_where_raw_fails or [])
        self.rules = load_ops(deepcopy(only_where_raw_fails or []))

    def process_table(self, table: pyarrow.Table) -> pyarrow.Table:
        known = read_captions(self.captions_path)
        images = self.images(table)
        wanted = [
            value_for(image, known) if chosen else None
            for image, chosen in zip(images, self._chosen(table, images, known), strict=True)
        ]
        if not self.keep_original_sample:
            return self.with_captions(table, wanted, BLIP2)
        pairs = [
            (row, caption)
            for row, caption in enumerate(wanted)
            for caption in ([None] if caption is None else [None, caption])
        ]
        doubled = table.take(pyarrow.array([row for row, _ in pairs], pyarrow.int64()))
        return self.with_captions(doubled, [caption for _, caption in pairs], BLIP2)

    def _chosen(self, table: pyarrow.Table, images: list[str], known: dict[str, str]) -> list[bool]:
        """Whether a row meets every condition."""
        conditions = [[True] * len(table)]
        if self.rules:
            conditions.append(self._fails_rules(self.captions(table)))
        if self.raw_probability:
            draws = (derive_seed(self.seed, "raw caption", row_id) / 2**63 for row_id in self.ids(table))
            conditions.append([draw >= self.raw_probability for draw in draws])
        if self.decides_by:
            alignments = required_alignments(self._name, *self.score_paths)
            own = [alignment_of(*pair, alignments) for pair in zip(images, self.captions(table), strict=True)]
            if self.best_of:
                theirs = [alignment_of(image, value_for(image, known) or "", alignments) for image in images]
                conditions.append([_better(*pair) for pair in zip(own, theirs, strict=True)])
            if self.worst_aligned_share < 1:
                worst_first = best_first([None if score is None else -score for score in own], self.ids(table))
                scored = [row for row in worst_first if own[row] is not None]
                worst = set(scored[: round(self.worst_aligned_share * len(table))])
                conditions.append([row in worst for row in range(len(table))])
        return [all(held) for held in zip(*conditions, strict=True)]

    def _fails_rules(self, captions: list[str]) -> list[bool]:
        """Whether a caption fails any rule."""
        failed: list[bool] = []
        for start in range(0, len(captions), RULES_BATCH):
            part = captions[start : start + RULES_BATCH]
            passed = [True] * len(part)
            for rule in self.rules:
                batch: Batch = {rule.text_key: list(part), Fields.stats: [{} for _ in part]}
                verdicts = rule.process_batched(rule.compute_stats_batched(batch))
                passed = [before and bool(verdict) for before, verdict in zip(passed, verdicts, strict=True)]
            failed += [not kept for kept in passed]
        return failed


def _better(own: float | None, theirs: float | None) -> bool:
    return own is not None and theirs is not None and theirs > own
