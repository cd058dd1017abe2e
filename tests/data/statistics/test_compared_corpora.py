"""Two corpora compared: sizes, what is fair to them, alignment, and corpora that are too small."""

import numpy as np
import pytest

from recap.data.corpus.records import Record
from recap.data.statistics.aligned import AlignedCorpus
from recap.data.statistics.comparison import NO_ALIGNER, compare_corpora
from recap.data.statistics.coverage import SOURCES
from recap.data.statistics.intervals import NO_ROWS, TOO_SMALL
from recap.params import QualityParams

QUALITY = QualityParams(
    subsamples=5, sample_rows=60, sample_tokens=500, self_bleu_sample=20, mattr_window=50, hdd_sample=42, seed=0
)
SOURCE = SOURCES["topics"]
INDICES = ("mattr", "mtld", "hdd", "distinct_1", "distinct_2", "distinct_3", "compression_ratio", "self_repetition",
           "self_bleu", "maas", "duplicate_caption_percent", "near_duplicate_caption_percent")  # fmt: skip


def aligned(captions: list[str], scores: list[float] | None = None, images: list[str] | None = None) -> AlignedCorpus:
    images = images or [f"{number}.jpg" for number in range(len(captions))]
    records = [Record(f"r{n}", image, caption) for n, (image, caption) in enumerate(zip(images, captions, strict=True))]
    return AlignedCorpus(records, np.array(scores or [np.nan] * len(captions), dtype=float))


def first(corpus: AlignedCorpus, rows: slice) -> AlignedCorpus:
    return AlignedCorpus(corpus.records[rows], corpus.alignment[rows])


def test_every_measure_has_a_value_and_an_interval_on_all_sides() -> None:
    before, after = SOURCE.pair(np.random.default_rng(0), images=500)
    facts = compare_corpora(before, after, quality=QUALITY)
    assert facts["before"].keys() == facts["after"].keys() == facts["change"].keys() > set(INDICES)
    for name in INDICES:
        one, two, change = (facts[side][name] for side in ("before", "after", "change"))
        assert change["value"] == pytest.approx(two["value"] - one["value"])
        assert all(side["low"] < side["value"] < side["high"] for side in (one, two, change) if side["low"] is not None)
    assert (facts["subsamples"], facts["sample_tokens"], facts["sample_rows"]) == (5, 500, 60)
    assert "ttr" not in facts["before"]
    whole = facts["whole"]["before"]
    assert whole["ttr"] == pytest.approx(whole["vocabulary"] / whole["tokens"])


def test_a_corpus_of_twice_the_size_has_the_same_diversity() -> None:
    """Raw type-token ratios of the two differ; nothing that is measured on equal samples does."""
    large, _ = SOURCE.pair(np.random.default_rng(1), images=1200)
    small, _ = SOURCE.pair(np.random.default_rng(2), images=600)
    renamed = [Record(f"s{row.id}", f"s{row.image}", row.caption) for row in small.records]
    facts = compare_corpora(large, AlignedCorpus(renamed, small.alignment), quality=QUALITY)
    assert facts["whole"]["before"]["ttr"] < 0.95 * facts["whole"]["after"]["ttr"]
    held = [facts["change"][name]["low"] <= 0 <= facts["change"][name]["high"] for name in INDICES]
    assert sum(held) >= len(held) - 1  # of twelve intervals of 95 %


def test_halves_of_one_corpus_do_not_differ_and_a_real_difference_is_seen() -> None:
    before, after = SOURCE.pair(np.random.default_rng(3), images=1000)
    half = len(before.records) // 2
    halves = compare_corpora(first(before, slice(0, half)), first(before, slice(half, None)), quality=QUALITY)["change"]
    assert sum(halves[name]["low"] <= 0 <= halves[name]["high"] for name in INDICES) >= len(INDICES) - 1
    change = compare_corpora(before, after, quality=QUALITY)["change"]
    assert change["mtld"]["high"] < 0 and change["distinct_1"]["high"] < 0 and change["distinct_2"]["low"] > 0
    assert change["words_mean"]["low"] > 0 and change["alignment"]["low"] > 0


def test_the_same_corpus_twice_has_no_change_and_no_interval_of_it() -> None:
    before, _ = SOURCE.pair(np.random.default_rng(4), images=300)
    change = compare_corpora(before, before, quality=QUALITY)["change"]
    assert {one["value"] for one in change.values()} == {0}
    assert {one["low"] for one in change.values()} == {None}


def test_the_seed_decides() -> None:
    before, after = SOURCE.pair(np.random.default_rng(5), images=300)
    one, again = (compare_corpora(before, after, quality=QUALITY) for _ in range(2))
    other = compare_corpora(before, after, quality=QUALITY.model_copy(update={"seed": 1}))
    assert one == again
    assert one["before"]["mtld"] != other["before"]["mtld"]
    assert one["before"]["words_mean"] == other["before"]["words_mean"]  # of all rows


def test_corpora_too_small_for_subsamples_are_compared_at_one_size_without_intervals() -> None:
    before = aligned(
        ["a red bus near the old harbour wall by day"] * 3 + [f"w{'x' * n} and some more" for n in range(40)]
    )
    facts = compare_corpora(before, first(before, slice(0, 20)), quality=QUALITY)
    assert facts["subsamples"] == 1
    assert facts["sample_rows"] == 20
    mtld = facts["after"]["mtld"]
    assert mtld["value"] > 0 and mtld["low"] is None and mtld["reason"] == TOO_SMALL
    assert facts["after"]["words_mean"]["low"] is not None


def test_nothing_left_has_no_values() -> None:
    before = aligned(["a red bus near the old harbour wall"] * 30)
    facts = compare_corpora(before, aligned([]), quality=QUALITY)
    assert {one["value"] for one in facts["after"].values()} == {None}
    assert facts["change"]["words_mean"]["reason"] == NO_ROWS


def test_alignment() -> None:
    images = ["a", "b", "c", "d"]
    before = aligned(["one caption"] * 4, [0.1, 0.2, 0.3, np.nan], images)
    after = aligned(["other caption"] * 3, [0.3, 0.3, 0.5], images[:3])
    facts = compare_corpora(before, after, quality=QUALITY)
    assert facts["before"]["alignment"]["value"] == pytest.approx(0.2)  # of the three that have one
    # Changes 0.2, 0.1, 0.2 of the same pictures: an error of 1/30, and 4.3027 of them.
    change = facts["change"]["alignment"]
    assert (change["value"], change["high"]) == pytest.approx((1 / 6, 1 / 6 + 4.302653 / 30))
    assert facts["whole"]["before"]["aligned_rows"] == 3


def test_no_aligner() -> None:
    facts = compare_corpora(aligned(["one caption"] * 4), aligned(["other caption"] * 3), quality=QUALITY)
    for side in ("before", "after", "change"):
        assert facts[side]["alignment"] == {"value": None, "low": None, "high": None, "reason": NO_ALIGNER}
