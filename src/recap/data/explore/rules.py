"""What Data-Juicer's operators would drop from a corpus, from their own statistics and by their own verdicts.

Statistics are computed once and kept as columns, whatever the thresholds are that they are then held against.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy
import pandas

from recap.data.processing.juicer import Fields, HashKeys, load_ops
from recap.data.statistics.duplicates import Bools

REPETITION_LENGTH = 10
"""Words, or characters, in the runs whose repetition is counted: that of the recipes."""

TEXT_STATISTICS: dict[str, dict[str, Any]] = {
    "words_num_filter": {},
    "text_length_filter": {},
    "word_repetition_filter": {"rep_len": REPETITION_LENGTH},
    "character_repetition_filter": {"rep_len": REPETITION_LENGTH},
    "special_characters_filter": {},
}
"""The operators that read captions, with the arguments that their statistics depend on."""

COLUMNS = {
    "words_num_filter": ("num_words",),
    "text_length_filter": ("text_len",),
    "word_repetition_filter": ("word_rep_ratio",),
    "character_repetition_filter": ("char_rep_ratio",),
    "special_characters_filter": ("special_char_ratio",),
    "maximum_line_length_filter": ("max_line_length",),
    "image_shape_filter": ("image_width", "image_height"),
    "image_aspect_ratio_filter": ("aspect_ratios",),
}
"""The statistics that an operator judges a row by, under Data-Juicer's names."""

BATCH_ROWS = 1000


def text_statistics(
    captions: Sequence[str], filters: Mapping[str, Mapping[str, Any]] = TEXT_STATISTICS
) -> pandas.DataFrame:
    """Data-Juicer's statistics of captions, one column each (`COLUMNS`), one row per caption.

    Args:
        captions: Bare, without markers.
        filters: The operators whose statistics are wanted, with the arguments that these depend on.
    """
    operators = load_ops([{name: dict(arguments)} for name, arguments in filters.items()])
    names = [column for name in filters for column in COLUMNS[name]]
    columns: dict[str, list[float]] = {name: [] for name in names}
    for start in range(0, len(captions), BATCH_ROWS):
        texts = list(captions[start : start + BATCH_ROWS])
        batch: dict[str, Any] = {"text": texts, Fields.stats: [{} for _ in texts]}
        for operator in operators:
            batch = operator.compute_stats_batched(batch)
        for name, values in columns.items():
            values.extend(row[name] for row in batch[Fields.stats])
    return pandas.DataFrame({name: numpy.asarray(values) for name, values in columns.items()})


def image_statistics(table: pandas.DataFrame) -> pandas.DataFrame:
    """The same of pictures, from the sizes that the table holds: no picture is opened."""
    height = table["height"].to_numpy(float)
    ratios = numpy.divide(table["width"].to_numpy(float), height, out=numpy.zeros(len(table)), where=height > 0)
    return pandas.DataFrame(
        {
            "image_width": table["width"].to_numpy(),
            "image_height": table["height"].to_numpy(),
            "aspect_ratios": ratios,
        }
    )


def dropped_by(name: str, arguments: Mapping[str, Any], statistics: pandas.DataFrame) -> Bools:
    """Which rows a filter would drop, shape (rows,). Rows with equal statistics are judged once."""
    (operator,) = load_ops([{name: dict(arguments)}])
    columns = COLUMNS[name]
    groups = statistics.groupby(list(columns), sort=False).ngroup().to_numpy()
    different = statistics[list(columns)].drop_duplicates()
    kept = [_keeps(operator, name, row) for row in different.itertuples(index=False, name=None)]
    return ~numpy.asarray(kept, dtype=bool)[groups] if len(different) else numpy.zeros(0, dtype=bool)


def _keeps(operator: Any, name: str, values: Iterable[float]) -> bool:
    # A row has one picture, and Data-Juicer a list of them.
    row = {
        column: [value] if name.startswith("image_") else value
        for column, value in zip(COLUMNS[name], values, strict=True)
    }
    (kept,) = operator.process_batched({Fields.stats: [row]})
    return bool(kept)


def caption_hashes(captions: Iterable[str], arguments: Mapping[str, Any]) -> pandas.Series:
    """What `document_deduplicator` holds captions for the same by."""
    (operator,) = load_ops([{"document_deduplicator": dict(arguments)}])
    hashes = (operator.compute_hash({"text": caption})[HashKeys.hash] for caption in captions)
    return pandas.Series(list(hashes), dtype=object)


def mapped(name: str, arguments: Mapping[str, Any], captions: pandas.Series) -> pandas.Series:
    """What a mapper makes of captions."""
    (operator,) = load_ops([{name: dict(arguments)}])
    texts: list[str] = []
    for start in range(0, len(captions), BATCH_ROWS):
        texts += operator.process_batched({"text": list(captions.iloc[start : start + BATCH_ROWS])})["text"]
    return pandas.Series(texts, index=captions.index, dtype=object)
