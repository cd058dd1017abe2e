"""What processing did to a corpus: the same statistics before and after, the size-dependent ones on equal samples."""

from collections.abc import Sequence
from typing import Any

from recap.data.corpus.records import Record
from recap.data.statistics.diversity import describe_diversity
from recap.data.statistics.sampling import Sample, equal_samples
from recap.data.statistics.text import describe_captions
from recap.params import QualityParams

INDICES = (
    "ttr", "mattr", "mtld", "hdd", "distinct_1", "distinct_2", "distinct_3", "self_bleu", "compression_ratio",
    "words_mean", "too_short_percent", "repetitive_percent",
)  # fmt: skip
"""What the chart shows, in order."""


def compare_corpora(before: Sequence[Record], after: Sequence[Record], *, quality: QualityParams) -> dict[str, Any]:
    """Compare a corpus with what processing made of it.

    Returns:
        Rows before, after and kept (percent, 0-100), the sizes of the samples, and for `before` and `after` the
        statistics of all captions and the diversity of the samples. Both samples have as many captions, and as many
        tokens; the smaller corpus bounds them.
    """
    samples = equal_samples([before, after], rows=quality.sample_rows, tokens=quality.sample_tokens, seed=quality.seed)
    return {
        "rows_before": len(before),
        "rows_after": len(after),
        "kept_percent": 100 * len(after) / len(before),
        "sample_rows": len(samples[0].captions),
        "sample_tokens": samples[0].num_tokens,
        "before": _describe(before, samples[0], quality),
        "after": _describe(after, samples[1], quality),
    }


def _describe(records: Sequence[Record], sample: Sample, quality: QualityParams) -> dict[str, Any]:
    return {
        **describe_captions([record.caption for record in records]),
        **describe_diversity(
            sample,
            mattr_window=quality.mattr_window,
            hdd_sample=quality.hdd_sample,
            self_bleu_sample=quality.self_bleu_sample,
        ),
    }
