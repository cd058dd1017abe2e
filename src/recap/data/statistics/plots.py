"""What `quality` puts under plots/: CSV for `dvc plots`, PNG for people."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from recap.data.statistics.aligned import AlignedCorpus
from recap.data.statistics.charts import comparison_chart, overlaid_chart, word_chart
from recap.data.statistics.comparison import NO_ALIGNER, SIDES
from recap.data.statistics.text import Floats, word_histogram
from recap.io import atomic_path, write_csv

MEASURES = {
    "mattr": "MATTR",
    "mtld": "MTLD",
    "hdd": "HD-D",
    "maas": "Maas a² (lower: more diverse)",
    "distinct_1": "distinct-1",
    "distinct_2": "distinct-2",
    "distinct_3": "distinct-3",
    "compression_ratio": "compression ratio (lower)",
    "self_repetition": "self-repetition (lower)",
    "self_bleu": "self-BLEU (lower)",
    "duplicate_caption_percent": "duplicates, %",
    "near_duplicate_caption_percent": "near duplicates, %",
    "words_mean": "words",
    "too_short_percent": "too short, %",
    "repetitive_percent": "repetitive, %",
    "alignment": "alignment (cosine)",
}
"""What the chart shows, in order."""

BIN = 0.02
"""Width of the bins of cosines."""


def write_word_histograms(path: str | Path, histograms: Mapping[str, Sequence[float]]) -> None:
    """Write `words,<name>,...`: percent of captions by number of words, one column per corpus, no gaps."""
    shares = zip_longest(*histograms.values(), fillvalue=0.0)
    _write_csv(path, ["words", *histograms], ([number, *row] for number, row in enumerate(shares)))


def plot_comparison(folder: str | Path, before: AlignedCorpus, after: AlignedCorpus, facts: Mapping[str, Any]) -> None:
    """Write words and alignment as .csv and .png, and indices.png.

    Args:
        folder: Written whole.
        before: The corpus before processing.
        after: The corpus after it.
        facts: Of `comparison.compare_corpora`.
    """
    corpora = dict(zip(SIDES, (before, after), strict=True))
    words = {name: word_histogram(record.caption for record in corpus.records) for name, corpus in corpora.items()}
    samples = f"{facts['subsamples']} × {facts['sample_tokens']} tokens or {facts['sample_rows']} captions"
    sizes = f"means of all rows; diversity and duplicates on {samples}; {facts['confidence_percent']:g} % intervals"
    with atomic_path(folder) as draft:
        draft.mkdir()
        write_word_histograms(draft / "words.csv", words)
        word_chart(draft / "words.png", words, "Words in a caption, before and after processing")
        comparison_chart(
            draft / "indices.png", facts, MEASURES, f"Captions before and after processing, and the change\n({sizes})"
        )
        plot_cosines(draft, {name: corpus.alignment for name, corpus in corpora.items()}, "before and after processing")


def plot_cosines(folder: Path, cosines: Mapping[str, Floats], what: str) -> None:
    """Write alignment.csv, percent of the cosines by the lower ends of bins of `BIN`, and alignment.png.

    Args:
        folder: Where both go; it is there.
        cosines: By name, each of shape (captions,); NaN where a caption has none.
        what: Whose they are, for the title.
    """
    title, (edges, shares) = f"How well captions fit their pictures, {what}", cosine_histogram(cosines)
    rows: list[list[Any]] = [list(row) for row in zip(edges[:-1], *shares.values(), strict=True)]
    if not rows:
        # `dvc plots` shows this row where a chart without one would say nothing.
        title, edges, shares = f"How well captions fit their pictures: {NO_ALIGNER}", [-1.0, 1.0], {}
        rows = [[NO_ALIGNER, *[0.0] * len(cosines)]]
    _write_csv(folder / "alignment.csv", ["cosine", *cosines], rows)
    overlaid_chart(folder / "alignment.png", edges, shares, title=title, xlabel="cosine of caption and picture")


def cosine_histogram(cosines: Mapping[str, Floats]) -> tuple[list[float], dict[str, list[float]]]:
    """Edges of whole bins of `BIN`, and by name the percent (0-100) of its cosines in each; empty where there are none.

    Whole bins of one width, so that two runs can be laid over one another.
    """
    # Rounded, as 0.58 / 0.02 is a little less than 29.
    bins = {
        name: np.floor(np.round(values[np.isfinite(values)] / BIN, 6)).astype(int) for name, values in cosines.items()
    }
    found = np.concatenate(list(bins.values()))
    if not len(found):
        return [], {name: [] for name in cosines}
    first, count = int(found.min()), int(found.max() - found.min()) + 1
    return [round(BIN * (first + place), 2) for place in range(count + 1)], {
        name: (100 * np.bincount(numbers - first, minlength=count) / max(len(numbers), 1)).tolist()
        for name, numbers in bins.items()
    }


def _write_csv(path: str | Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    rounded = ([round(value, 6) if isinstance(value, float) else value for value in row] for row in rows)
    with atomic_path(path) as draft:
        write_csv(draft, header, rounded)
