"""Data-Juicer's statistics and verdicts, against its own filters on the same captions."""

import pandas
import pytest

from recap.data.explore.recipe import MIN_WORDS, upper_fence
from recap.data.explore.rules import BATCH_ROWS, caption_hashes, dropped_by, image_statistics, mapped, text_statistics
from recap.data.processing.juicer import NestedDataset, load_ops

CAPTIONS = [
    "a red bus stands next to a small tree",
    "42 dogs",
    "free download " * 12,
    "one two three four five six",
    "!!! $$$ 1234567 (2019)",
    "",
]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("words_num_filter", {"min_num": MIN_WORDS}),
        ("text_length_filter", {"min_len": 1, "max_len": 40}),
        ("word_repetition_filter", {"rep_len": 10, "max_ratio": 0.3}),
        ("character_repetition_filter", {"rep_len": 10, "max_ratio": 0.15}),
        ("special_characters_filter", {"max_ratio": 0.5}),
    ],
)
def test_verdicts_are_those_of_a_run(name: str, arguments: dict) -> None:
    dropped = dropped_by(name, arguments, text_statistics(CAPTIONS))
    (operator,) = load_ops([{name: {**arguments, "auto_op_parallelism": False, "num_proc": None}}])
    kept = operator.run(NestedDataset.from_list([{"id": i, "text": text} for i, text in enumerate(CAPTIONS)]))
    assert dropped.any() and not dropped.all()
    assert [i for i, gone in enumerate(dropped) if not gone] == kept["id"]


def test_statistics_of_captions() -> None:
    statistics = text_statistics(CAPTIONS)
    assert list(statistics["num_words"]) == [9, 1, 24, 6, 0, 0]  # digits are no word
    assert list(statistics["text_len"]) == [37, 7, 168, 27, 22, 0]
    assert len(text_statistics(["a"] * (BATCH_ROWS + 1))) == BATCH_ROWS + 1


def test_pictures_are_judged_by_their_sizes() -> None:
    table = pandas.DataFrame({"width": [223, 224, 900, 900], "height": [300, 224, 300, 299]})
    statistics = image_statistics(table)
    shape = {"min_width": 224, "min_height": 224}
    assert list(dropped_by("image_shape_filter", shape, statistics)) == [True, False, False, False]
    ratio = {"min_ratio": 0.333, "max_ratio": 3.0}
    assert list(dropped_by("image_aspect_ratio_filter", ratio, statistics)) == [False, False, False, True]


def test_hashes_ignore_what_the_deduplicator_ignores() -> None:
    hashes = caption_hashes(["A dog, 2", "a dog", "a cat"], {"lowercase": True, "ignore_non_character": True})
    assert hashes[0] == hashes[1] != hashes[2]


def test_mappers() -> None:
    captions = pandas.Series(["see http://a.example/x.html now", "plain"])
    assert list(mapped("clean_links_mapper", {}, captions)) == ["see  now", "plain"]


def test_fence() -> None:
    assert upper_fence(pandas.Series([1, 2, 3, 4, 5])) == 10  # quartiles 2 and 4: 4 + 3 * 2
    assert upper_fence(pandas.Series([8] * 9)) == 24  # no spread: three medians
    assert upper_fence(pandas.Series([], dtype=float)) == 1
