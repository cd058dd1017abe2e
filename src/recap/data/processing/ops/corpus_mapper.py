"""A mapper that sees the whole corpus: what it makes of a row may depend on the others, and never on batches."""

from collections.abc import Sequence
from typing import Any

import pyarrow

from recap.data.corpus.records import IMAGE_MARKER, caption_of, dj_text
from recap.data.processing.captions import RAW
from recap.data.processing.columns import as_dataset, as_table, json_column, statistics_of, with_column
from recap.data.processing.juicer import Fields, Mapper, StatsKeys
from recap.runtime.errors import UserError

STATISTICS_OF_IMAGES = (
    StatsKeys.aspect_ratios, StatsKeys.image_width, StatsKeys.image_height, StatsKeys.image_sizes,
    StatsKeys.face_ratios, StatsKeys.face_detections, StatsKeys.face_counts, StatsKeys.image_aesthetics_scores,
    StatsKeys.image_nsfw_score, StatsKeys.image_watermark_prob, StatsKeys.image_pair_similarity,
    StatsKeys.image_subplot_confidence, StatsKeys.horizontal_peak_count, StatsKeys.vertical_peak_count,
    StatsKeys.subplot_detected,
)  # fmt: skip
"""Data-Juicer's statistics of images alone, which another caption leaves as they are."""

SOURCE, RAW_TEXT, CAPTION_IMAGES = "caption_source", "raw_text", "caption_images"
"""Columns that say where a row's caption comes from, what it was, and which images' captions a placebo made it of."""


class CorpusMapper(Mapper):
    """Maps a table of rows to another one, in one process: lookups and draws are quick."""

    def process_table(self, table: pyarrow.Table) -> pyarrow.Table:
        """The rows as they shall be; a row may be there more than once."""
        raise NotImplementedError

    def run(self, dataset: Any, *, exporter: Any = None, tracer: Any = None) -> Any:
        """As Data-Juicer calls it; its tracer follows rows one by one, which these are not."""
        return as_dataset(self.process_table(as_table(super(Mapper, self).run(dataset))))

    def ids(self, table: pyarrow.Table) -> list[str]:
        """Raises a UserError if rows have no ids, by which ties and chance are decided."""
        if "id" not in table.column_names:
            raise UserError(f"{self._name}: expected rows with an `id`, found {', '.join(table.column_names)}")
        return [str(row_id) for row_id in table["id"].to_pylist()]

    def images(self, table: pyarrow.Table) -> list[str]:
        return [images[0] for images in table[self.image_key].to_pylist()]

    def captions(self, table: pyarrow.Table) -> list[str]:
        """The bare captions, whether Data-Juicer's markers stand around them or not."""
        return [caption_of(text) if IMAGE_MARKER in text else text for text in table[self.text_key].to_pylist()]

    def with_captions(
        self, table: pyarrow.Table, captions: Sequence[str | None], source: str,
        images: Sequence[list[str] | None] | None = None,
    ) -> pyarrow.Table:  # fmt: skip
        """Put captions in the place of a table's own, where they are not None, and note where they come from.

        Statistics of text end here, for all rows: those of a caption that has been replaced are not those of the new
        one, and Data-Juicer would use them again.

        Args:
            table: The rows.
            captions: One a row, bare.
            source: What `caption_source` says of the new ones.
            images: The images whose captions a new one is made of, where these are others than the row's own.
        """
        texts = table[self.text_key].to_pylist()
        new = [
            text if caption is None else dj_text(caption) if IMAGE_MARKER in text else caption
            for text, caption in zip(texts, captions, strict=True)
        ]
        sources = table[SOURCE].to_pylist() if SOURCE in table.column_names else [None] * len(texts)
        said = [(old or RAW) if caption is None else source for old, caption in zip(sources, captions, strict=True)]
        if RAW_TEXT not in table.column_names:
            table = table.append_column(RAW_TEXT, pyarrow.array(self.captions(table), pyarrow.string()))
        table = with_column(table, self.text_key, pyarrow.array(new, pyarrow.string()))
        table = with_column(table, SOURCE, pyarrow.array(said, pyarrow.string()))
        if images is not None:
            table = with_column(table, CAPTION_IMAGES, pyarrow.array(images, pyarrow.list_(pyarrow.string())))
        if Fields.stats in table.column_names:
            table = with_column(table, Fields.stats, json_column([*map(_of_images, statistics_of(table))]))
        return table


def _of_images(statistics: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in statistics.items() if name in STATISTICS_OF_IMAGES}
