"""What `explore` puts under plots/: CSV for `dvc plots`, PNG for people and for the report."""

from pathlib import Path

import pandas

from recap.data.explore.exploration import Exploration
from recap.data.explore.sizes import SMALL_BELOW_PX
from recap.data.statistics.charts import bar_chart, growth_chart, histogram_chart, image_size_chart, word_chart
from recap.data.statistics.plots import plot_cosines, write_word_histograms
from recap.data.statistics.text import histogram
from recap.io import atomic_path, write_csv

TAIL, LONG_TAIL = 0.995, 1.2
"""Where values reach far beyond this quantile, a histogram ends there, or one long value would hide all others."""

COPIES = {"2": (2, 2), "3": (3, 3), "4 to 9": (4, 9), "10 or more": (10, None)}
"""The bars of the chart of copies: the fewest and the most rows that have one caption or picture."""


def plot_exploration(folder: str | Path, found: Exploration) -> None:
    """Write words, word_frequency, vocabulary, duplicates and alignment as .csv and .png, other histograms as .png."""
    rows, pictures = len(found.words), found.pictures
    words = {"captions": histogram(found.words)}
    with atomic_path(folder) as draft:
        draft.mkdir()
        write_word_histograms(draft / "words.csv", words)
        word_chart(draft / "words.png", words, f"Words in {rows:,} raw captions")
        write_csv(draft / "word_frequency.csv", ("word", "count"), found.frequent.items())
        bar_chart(draft / "word_frequency.png", found.frequent, title="The most frequent words", xlabel="times")
        write_csv(draft / "vocabulary.csv", ("tokens", "words"), found.growth)
        growth_chart(
            draft / "vocabulary.png", found.growth, title="How the vocabulary grows", xlabel="words read",
            ylabel="different words",
        )  # fmt: skip
        copies = _by_copies(found)
        write_csv(draft / "duplicates.csv", ("copies", "rows"), copies.items())
        bar_chart(
            draft / "duplicates.png", copies, title="Rows whose caption or picture others have too", xlabel="rows"
        )
        plot_cosines(draft, found.cosines, "and by chance those of other rows")
        _histogram(
            draft / "characters.png", found.characters, title=f"Characters in {rows:,} raw captions",
            xlabel="characters in a caption", ylabel="captions",
        )  # fmt: skip
        _histogram(
            draft / "aspect_ratios.png", pictures["width"] / pictures["height"],
            title=f"Shapes of {len(pictures):,} pictures", xlabel="width / height", ylabel="pictures",
        )  # fmt: skip
        _histogram(
            draft / "brightness.png", pictures["brightness"], title=f"Brightness of {len(pictures):,} pictures",
            xlabel="mean grey: 0 black, 255 white", ylabel="pictures",
        )  # fmt: skip
        sizes = pictures[["width", "height"]].drop_duplicates()
        image_size_chart(
            draft / "image_sizes.png", list(sizes.itertuples(index=False, name=None)), small_below=SMALL_BELOW_PX,
            title=f"Sizes of {len(pictures):,} pictures",
        )  # fmt: skip


def _by_copies(found: Exploration) -> dict[str, int]:
    """Rows by how many rows have the same caption, and the same picture; those that are alone are left out."""
    return {
        f"{what} in {label} rows": count
        for what, groups in (("caption", found.captions_by_copies), ("picture", found.pictures_by_copies))
        for label, count in _binned(groups)
    }


def _binned(groups: pandas.Series) -> list[tuple[str, int]]:
    rows = groups * groups.index
    return [(label, int(rows.loc[low:high].sum())) for label, (low, high) in COPIES.items()]


def _histogram(path: Path, values: pandas.Series, *, title: str, xlabel: str, ylabel: str) -> None:
    limit = float(values.quantile(TAIL)) if len(values) else 0.0
    if len(values) and values.max() > LONG_TAIL * limit:
        values, xlabel = values.clip(upper=limit), f"{xlabel} (last bar: {limit:.3g} or more)"
    histogram_chart(path, values.tolist(), title=title, xlabel=xlabel, ylabel=ylabel)
