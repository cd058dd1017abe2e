"""Charts are PNG files whose bytes depend on the data alone; tables are Markdown."""

from pathlib import Path

import numpy as np
from PIL import Image

from recap.data.explore.markdown import quoted, table
from recap.data.statistics.charts import (
    LONGEST_LABEL,
    bar_chart,
    comparison_chart,
    growth_chart,
    histogram_chart,
    image_size_chart,
    overlaid_chart,
    word_chart,
)
from recap.data.statistics.plots import cosine_histogram, write_word_histograms
from tests.hostile_text import ALL

NONE = {"value": None, "low": None, "high": None}
MEASURES = {
    "before": {"hdd": {"value": 0.5, "low": 0.4, "high": 0.6}, "mtld": NONE},
    "after": {"hdd": {"value": 0.7, "low": None, "high": None}, "mtld": NONE},
    "change": {"hdd": {"value": 0.2, "low": None, "high": None}, "mtld": NONE},
}


def test_same_data_same_bytes(tmp_path: Path) -> None:
    for folder in (tmp_path / "one", tmp_path / "two"):
        word_chart(folder / "words.png", {"before": [0, 50, 50], "after": [100]}, "Words")
        histogram_chart(folder / "characters.png", [1, 2, 2], title="Characters", xlabel="x", ylabel="y")
        image_size_chart(folder / "sizes.png", [(300, 200)], small_below=224, title="Sizes")
        bar_chart(folder / "bars.png", {"of": 3, "cat": 1}, title="Words", xlabel="times")
        growth_chart(folder / "growth.png", [(10, 8), (20, 12)], title="Growth", xlabel="x", ylabel="y")
        comparison_chart(folder / "indices.png", MEASURES, {"hdd": "HD-D", "mtld": "MTLD"}, "Indices")
        overlaid_chart(folder / "alignment.png", [0, 0.5, 1], {"before": [50, 50]}, title="Alignment", xlabel="cosine")
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == [
        "alignment.png",
        "bars.png",
        "characters.png",
        "growth.png",
        "indices.png",
        "sizes.png",
        "words.png",
    ]
    for name in names:
        first = (tmp_path / "one" / name).read_bytes()
        assert first == (tmp_path / "two" / name).read_bytes()
        assert b"Software" not in first
        with Image.open(tmp_path / "one" / name) as image:
            image.load()
            assert image.width >= 700


def test_charts_of_nothing(tmp_path: Path) -> None:
    word_chart(tmp_path / "words.png", {"captions": []}, "Words")
    histogram_chart(tmp_path / "characters.png", [], title="Characters", xlabel="x", ylabel="y")
    image_size_chart(tmp_path / "sizes.png", [], small_below=224, title="Sizes")
    bar_chart(tmp_path / "bars.png", {}, title="Words", xlabel="times")
    growth_chart(tmp_path / "growth.png", [], title="Growth", xlabel="x", ylabel="y")
    overlaid_chart(tmp_path / "alignment.png", [-1, 1], {}, title="Alignment", xlabel="cosine")
    assert len(list(tmp_path.iterdir())) == 6


def test_word_histograms_fill_gaps(tmp_path: Path) -> None:
    write_word_histograms(tmp_path / "words.csv", {"before": [0.0, 25.0, 75.0], "after": [100.0]})
    assert (tmp_path / "words.csv").read_text() == "words,before,after\n0,0.0,100.0\n1,25.0,0.0\n2,75.0,0.0\n"


def test_a_cosine_on_the_edge_of_a_bin_is_in_it() -> None:
    # In binary 0.58 / 0.02 is less than 29.
    edges, shares = cosine_histogram({"one": np.array([0.58, np.nan]), "two": np.array([0.54, 0.6])})
    assert edges == [0.54, 0.56, 0.58, 0.6, 0.62]
    assert shares == {"one": [0, 0, 100, 0], "two": [50, 0, 0, 50]}


def test_table() -> None:
    assert table(["a", "b"], [["x|y", 0.25], ["z", None]]) == (
        "| a | b |\n| :--- | ---: |\n| x\\|y | 0.2500 |\n| z | n/a |"
    )


def test_numbers_stand_on_the_right_and_texts_on_the_left() -> None:
    assert table(["a", "b", "c"], [["x", "1,200", "drop"]]).splitlines()[1] == "| :--- | ---: | :--- |"


def test_long_examples_are_cut() -> None:
    assert quoted("a `b`\n c") == "`a 'b' c`"
    assert quoted("word " * 100).endswith("…`") and len(quoted("word " * 100)) == 120 + 2


def test_words_of_others_are_letters_beside_their_bars(tmp_path: Path) -> None:
    """Formulas, which matplotlib would set or stop at, letters that it cannot draw, and words without an end."""
    bar_chart(tmp_path / "bars.png", dict.fromkeys((*ALL, "half �", "a$x$b"), 1), title="Words", xlabel="times")
    bar_chart(tmp_path / "short.png", {"w" * LONGEST_LABEL: 1}, title="Words", xlabel="times")
    bar_chart(tmp_path / "long.png", {"w" * 100_000: 1}, title="Words", xlabel="times")
    with Image.open(tmp_path / "short.png") as short, Image.open(tmp_path / "long.png") as long:
        assert short.size == long.size
