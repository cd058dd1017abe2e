"""What processing did to a corpus: every measure before and after, and its change, each with an interval."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from recap.data.corpus.records import Record
from recap.data.statistics.aligned import AlignedCorpus
from recap.data.statistics.diversity import describe_diversity
from recap.data.statistics.duplicates import describe_duplicates
from recap.data.statistics.intervals import CONFIDENCE, Estimate, of_change, of_mean, of_subsamples
from recap.data.statistics.sampling import Sample, equal_subsamples
from recap.data.statistics.text import PERCENTAGES, mean_and_sd, measure_captions, tokens
from recap.params import QualityParams

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SIDES = ("before", "after")

NO_ALIGNER = "no aligner"


class Comparison(NamedTuple):
    """A measure of the corpus before and after processing, and after - before."""

    before: Estimate
    after: Estimate
    change: Estimate


def compare_corpora(before: AlignedCorpus, after: AlignedCorpus, *, quality: QualityParams) -> dict[str, Any]:
    """Compare a corpus with what processing made of it.

    Returns:
        Rows before, after and kept (percent, 0-100); the number and the sizes of the subsamples; for `before`, `after`
        and `change` (after - before) of every measure `value`, `low`, `high`, and where one is null the `reason`; and
        under `whole` what depends on a corpus's size, beside that size. Means are of all rows. Everything else is the
        mean over disjoint subsamples of one size, that of the smaller corpus's parts.
    """
    corpora = (before, after)
    parts = _subsamples([corpus.records for corpus in corpora], quality)
    columns = [columns_of(corpus) for corpus in corpora]
    measures = compare_rows(corpora, columns) | compare_parts(parts, quality)
    return {
        "rows_before": len(before.records),
        "rows_after": len(after.records),
        "kept_percent": 100 * len(after.records) / len(before.records),
        "confidence_percent": 100 * CONFIDENCE,
        "subsamples": len(parts),
        "sample_rows": len(parts[0][0].captions),
        "sample_tokens": parts[0][0].num_tokens,
        "self_bleu_rows": min(quality.self_bleu_sample, len(parts[0][0].captions)),
        **{
            side: {name: getattr(measure, side).to_facts() for name, measure in measures.items()}
            for side in (*SIDES, "change")
        },
        "whole": dict(zip(SIDES, map(_whole, corpora, columns), strict=True)),
    }


def _subsamples(corpora: Sequence[Sequence[Record]], quality: QualityParams) -> list[list[Sample]]:
    """As many parts as are asked for, or one where they would be too small for MATTR's window or HD-D's draws."""
    enough = max(quality.mattr_window, quality.hdd_sample)
    for count in (quality.subsamples, 1):
        parts = equal_subsamples(
            corpora, count=count, rows=quality.sample_rows, tokens=quality.sample_tokens, seed=quality.seed
        )
        if parts[0][0].num_tokens >= enough:
            break
    return parts


def compare_rows(corpora: Sequence[AlignedCorpus], columns: Sequence[dict[str, Floats]]) -> dict[str, Comparison]:
    """Means of all rows: corpora before and after, and what `columns_of` says of their rows."""
    images = _numbered_images(*(corpus.records for corpus in corpora))
    return {name: _of_means(name, [of[name] for of in columns], images) for name in columns[0]}


def compare_parts(parts: Sequence[Sequence[Sample]], quality: QualityParams) -> dict[str, Comparison]:
    """Indices on equal samples: per part, that of before and that of after (`sampling.equal_subsamples`)."""
    bar = tqdm(parts, desc="subsamples", unit="part", delay=3, leave=False)
    values = [[_describe(sample, quality) for sample in samples] for samples in bar]
    found = {}
    for name in values[0][0]:
        before, after = ([part[side][name] for part in values] for side in range(len(SIDES)))
        changes = [
            None if first is None or second is None else second - first
            for first, second in zip(before, after, strict=True)
        ]
        found[name] = Comparison(
            _bounded(name, of_subsamples(before)), _bounded(name, of_subsamples(after)), of_subsamples(changes)
        )
    return found


def _bounded(name: str, estimate: Estimate) -> Estimate:
    return estimate.within(0, 100) if name.endswith("_percent") else estimate


def columns_of(corpus: AlignedCorpus) -> dict[str, Floats]:
    """What each row is like, by the name of its mean; NaN where a row does not say."""
    columns = measure_captions([record.caption for record in corpus.records])
    return {
        f"{name}_percent" if name in PERCENTAGES else f"{name}_mean": column for name, column in columns.items()
    } | {"alignment": corpus.alignment}


def _numbered_images(*corpora: Sequence[Record]) -> list[Ints]:
    numbers: dict[str, int] = {}
    return [
        np.array([numbers.setdefault(record.image, len(numbers)) for record in records], dtype=np.int64)
        for records in corpora
    ]


def _of_means(name: str, columns: Sequence[Floats], images: Sequence[Ints]) -> Comparison:
    known = [~np.isnan(column) for column in columns]
    before, after = (column[rows] for column, rows in zip(columns, known, strict=True))
    images_before, images_after = (numbers[rows] for numbers, rows in zip(images, known, strict=True))
    if name == "alignment" and not len(before) and not len(after):
        return Comparison(*[Estimate(None, reason=NO_ALIGNER)] * 3)
    return Comparison(
        _bounded(name, of_mean(before, images_before)),
        _bounded(name, of_mean(after, images_after)),
        of_change(before, images_before, after, images_after),
    )


def _describe(sample: Sample, quality: QualityParams) -> dict[str, float | None]:
    indices = describe_diversity(
        sample,
        mattr_window=quality.mattr_window,
        hdd_sample=quality.hdd_sample,
        self_bleu_sample=quality.self_bleu_sample,
    )
    del indices["ttr"]  # of a sample it is distinct-1
    return indices | describe_duplicates(sample.captions)


def _whole(corpus: AlignedCorpus, columns: dict[str, Floats]) -> dict[str, float | None]:
    """Of a whole corpus: nothing to hold against that of a corpus of another size."""
    captions = [record.caption for record in corpus.records]
    types = Counter(chain.from_iterable(map(tokens, captions)))
    return {
        "tokens": types.total(),
        "vocabulary": len(types),
        "ttr": len(types) / types.total() if types else None,
        "words_sd": mean_and_sd(columns["words_mean"].tolist())[1],
        "characters_sd": mean_and_sd(columns["characters_mean"].tolist())[1],
        **describe_duplicates(captions),
        "aligned_rows": int(np.isfinite(corpus.alignment).sum()),
    }
