"""Recap's own Data-Juicer operators, registered under the names that recipes use.

`blip2_captioned_filter`   keeps rows whose image has a BLIP-2 caption
`blip2_caption_mapper`     puts that caption in the place of the raw one

Both read `captions_path`, JSON Lines of `{"image", "caption"}`, and find a row by its `image` field (the path
relative to the corpus). The stage supplies the path, so recipes do not name it. BLIP-2 does not run here: captions
are made once, by the stage before, and serve every recipe.
"""

from copy import deepcopy
from functools import lru_cache
from typing import Any

from recap.data.processing.juicer import (
    NON_STATS_FILTERS,
    OPERATORS,
    Fields,
    Filter,
    Mapper,
    load_ops,
    pre_instantiation_check,
)
from recap.io import read_jsonl

RAW, BLIP2 = "raw", "blip2"

Batch = dict[str, list[Any]]


@lru_cache(maxsize=1)
def read_captions(path: str) -> dict[str, str]:
    """Captions by image path; an image without one, or with an empty one, is absent."""
    return {row["image"]: row["caption"] for row in read_jsonl(path) if row["caption"].strip()}


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
        return [image in captions for image in samples["image"]]


@OPERATORS.register_module("blip2_caption_mapper")
class Blip2CaptionMapper(Mapper):
    """Replaces a row's text by the BLIP-2 caption of its image and notes the source in `caption_source`.

    A row whose image has no caption keeps the raw one; put `blip2_captioned_filter` before this operator to drop it
    instead. The number of rows does not change.

    Args:
        captions_path: The captions; supplied by the stage.
        only_where_raw_fails: Data-Juicer text filters, in the form of a `process:` list. A raw caption that
            passes all of them is kept; without any, every caption is replaced.
    """

    _batched_op = True

    def __init__(
        self, captions_path: str, only_where_raw_fails: list[dict[str, Any]] | None = None, *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.captions_path = captions_path
        read_captions(captions_path)  # fail now, and let forked workers inherit it
        pre_instantiation_check(only_where_raw_fails or [])
        self.rules = load_ops(deepcopy(only_where_raw_fails or []))

    def process_batched(self, samples: Batch) -> Batch:
        captions = read_captions(self.captions_path)
        kept = self._pass_rules(samples[self.text_key])
        for row, image in enumerate(samples["image"]):
            if image in captions and not kept[row]:
                samples[self.text_key][row] = captions[image]
                samples["caption_source"][row] = BLIP2
        return samples

    def _pass_rules(self, texts: list[str]) -> list[bool]:
        """Whether each raw caption passes every rule; all fail where there is no rule."""
        passed = [bool(self.rules)] * len(texts)
        for rule in self.rules:
            batch: Batch = {rule.text_key: list(texts), Fields.stats: [{} for _ in texts]}
            verdicts = rule.process_batched(rule.compute_stats_batched(batch))
            passed = [before and bool(verdict) for before, verdict in zip(passed, verdicts, strict=True)]
        return passed
