"""Recap's own Data-Juicer operators, registered under the names that recipes use.

`blip2_captioned_filter`   keeps rows whose image has a BLIP-2 caption
`blip2_caption_mapper`     puts that caption in the place of the raw one
`leaked_image_filter`      drops rows whose image a benchmark asks about

They know an image by its name and open none. The first two read `captions_path`, JSON Lines of `{"image", "caption"}`;
the stage supplies the path, so recipes do not name it. BLIP-2 does not run here: captions are made once, by the stage
before, and serve every recipe. The third reads `leaked_path`, the list that `explore` makes.

`dj-process --custom-operator-paths` takes this file too (docs/DATA.md); there a recipe names `captions_path`.
"""

from copy import deepcopy
from functools import lru_cache
from pathlib import PurePath
from typing import Any

from recap.data.corpus.records import IMAGE_MARKER, caption_of, dj_text
from recap.data.processing.columns import as_dataset, as_table, json_column, statistics_of, with_column
from recap.data.processing.juicer import (
    NON_STATS_FILTERS,
    OPERATORS,
    Fields,
    Filter,
    Mapper,
    StatsKeys,
    load_ops,
    pre_instantiation_check,
)
from recap.io import read_jsonl

RAW, BLIP2 = "raw", "blip2"

OF_CAPTIONS = ("blip2_captioned_filter", "blip2_caption_mapper")
OWN = (*OF_CAPTIONS, "leaked_image_filter")

STATISTICS_OF_IMAGES = (
    StatsKeys.aspect_ratios, StatsKeys.image_width, StatsKeys.image_height, StatsKeys.image_sizes,
    StatsKeys.face_ratios, StatsKeys.face_detections, StatsKeys.face_counts, StatsKeys.image_aesthetics_scores,
    StatsKeys.image_nsfw_score, StatsKeys.image_watermark_prob, StatsKeys.image_pair_similarity,
    StatsKeys.image_subplot_confidence, StatsKeys.horizontal_peak_count, StatsKeys.vertical_peak_count,
    StatsKeys.subplot_detected,
)  # fmt: skip
"""Data-Juicer's statistics of images alone, which another caption leaves as they are."""

Batch = dict[str, list[Any]]


@lru_cache(maxsize=1)
def read_captions(path: str) -> dict[str, str]:
    """Captions by image path; an image without one, or with an empty one, is absent."""
    return {row["image"]: row["caption"] for row in read_jsonl(path) if row["caption"].strip()}


@lru_cache(maxsize=1)
def read_leaked(path: str) -> dict[str, str]:
    """The benchmark of each leaked picture by its name, from JSON Lines of `{"image", "benchmark", ...}`."""
    return {row["image"]: row["benchmark"] for row in read_jsonl(path)}


def value_for(image: str, values: dict[str, str]) -> str | None:
    """What is known of an image, such as its caption: by its name, or by an absolute path that ends in it.

    Names are those below the folder of the corpus. Data-Juicer's own command makes absolute paths of what rows say; the
    end of a name is another image's name.
    """
    if image in values:
        return values[image]
    path = PurePath(image)
    ends = ("/".join(path.parts[start:]) for start in range(1, len(path.parts))) if path.is_absolute() else ()
    return next((values[end] for end in ends if end in values), None)


def _of_images(statistics: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in statistics.items() if name in STATISTICS_OF_IMAGES}


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


@OPERATORS.register_module("blip2_caption_mapper")
class Blip2CaptionMapper(Mapper):
    """Replaces a row's text by the BLIP-2 caption of its image and notes the source in `caption_source`.

    A row whose image has no caption keeps the raw one; put `blip2_captioned_filter` before this operator to drop it
    instead. The number of rows does not change. Statistics of text end here, for all rows: those of a caption that has
    been replaced are not those of the new one, and Data-Juicer would use them again.

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
        texts = list(samples[self.text_key])
        sources = list(samples["caption_source"]) if "caption_source" in samples else [RAW] * len(texts)
        marked = [IMAGE_MARKER in text for text in texts]
        kept = self._pass_rules(
            [caption_of(text) if marks else text for text, marks in zip(texts, marked, strict=True)]
        )
        for row, images in enumerate(samples[self.image_key]):
            caption = value_for(images[0], captions)
            if caption is not None and not kept[row]:
                texts[row] = dj_text(caption) if marked[row] else caption
                sources[row] = BLIP2
        return {**samples, self.text_key: texts, "caption_source": sources}

    def run(self, dataset: Any, **kwargs: Any) -> Any:
        table = as_table(super().run(dataset, **kwargs))
        if Fields.stats in table.column_names:
            table = with_column(table, Fields.stats, json_column([*map(_of_images, statistics_of(table))]))
        return as_dataset(table)

    def _pass_rules(self, texts: list[str]) -> list[bool]:
        """Whether each raw caption passes every rule; all fail where there is no rule."""
        passed = [bool(self.rules)] * len(texts)
        for rule in self.rules:
            batch: Batch = {rule.text_key: list(texts), Fields.stats: [{} for _ in texts]}
            verdicts = rule.process_batched(rule.compute_stats_batched(batch))
            passed = [before and bool(verdict) for before, verdict in zip(passed, verdicts, strict=True)]
        return passed


@OPERATORS.register_module("leaked_image_filter")
@NON_STATS_FILTERS.register_module("leaked_image_filter")
class LeakedImageFilter(Filter):
    """Keeps the rows whose picture is in no benchmark.

    Args:
        leaked_path: JSON Lines of `{"image", "benchmark", ...}`, names as in corpus rows: `data/explore/leaked.jsonl`.
    """

    _batched_op = True

    def __init__(self, leaked_path: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.leaked_path = leaked_path
        read_leaked(leaked_path)  # fail now, and let forked workers inherit it

    def compute_stats_batched(self, samples: Batch) -> Batch:
        return samples

    def process_batched(self, samples: Batch) -> list[bool]:
        leaked = read_leaked(self.leaked_path)
        return [value_for(images[0], leaked) is None for images in samples[self.image_key]]
