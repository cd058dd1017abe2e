"""What `quality` puts under plots/: CSV for `dvc plots`, PNG for people."""

import csv
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from recap.data.corpus.records import Record
from recap.data.statistics.charts import comparison_chart, word_chart
from recap.data.statistics.comparison import INDICES
from recap.data.statistics.text import word_histogram
from recap.io import atomic_path


def write_word_histograms(path: str | Path, histograms: Mapping[str, Sequence[float]]) -> None:
    """Write `words,<name>,...`: percent of captions by number of words, one column per corpus, no gaps."""
    with atomic_path(path) as draft, draft.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["words", *histograms])
        for number, shares in enumerate(zip_longest(*histograms.values(), fillvalue=0.0)):
            writer.writerow([number, *(round(share, 6) for share in shares)])


def plot_comparison(
    folder: str | Path, before: Sequence[Record], after: Sequence[Record], facts: Mapping[str, Any]
) -> None:
    """Write words.csv, words.png and indices.png.

    Args:
        folder: Written whole.
        before: The corpus before processing.
        after: The corpus after it.
        facts: Of `comparison.compare_corpora`.
    """
    words = {
        name: word_histogram([record.caption for record in records])
        for name, records in (("before", before), ("after", after))
    }
    pairs = {name.replace("_", " "): (facts["before"][name], facts["after"][name]) for name in INDICES}
    sizes = f"diversity on {facts['sample_rows']} captions, {facts['sample_tokens']} tokens each"
    with atomic_path(folder) as draft:
        draft.mkdir()
        write_word_histograms(draft / "words.csv", words)
        word_chart(draft / "words.png", words, "Words in a caption, before and after processing")
        comparison_chart(draft / "indices.png", pairs, f"Captions before and after processing\n({sizes})")
