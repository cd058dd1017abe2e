"""Recaptioning and selecting by alignment: hand-worked, and held to a plain definition on thousands of rows."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recap.data.corpus.records import caption_of
from recap.data.processing.ops.alignment import best_first
from recap.data.processing.runner import Processed
from recap.runtime.seeding import derive_seed
from tests.data.processing.scored_corpora import ScoredCorpus, random_scores

LOOKUP = "blip2_caption_lookup_mapper"
ROWS = 2_300
"""More than two of Data-Juicer's batches of 1,000."""


def recaptioned(processed: Processed) -> set[str]:
    return {row["id"] for row in processed.rows if row["caption_source"] == "blip2"}


def kept(processed: Processed) -> list[str]:
    return [row["id"] for row in processed.rows]


@given(st.lists(st.none() | st.sampled_from([0.1, 0.2, 0.3]), max_size=30))
def test_best_first_falls_and_ends_with_the_unknown(scores: list[float | None]) -> None:
    ids = [f"{number:02d}" for number in range(len(scores))]
    order = best_first(scores, ids)
    assert sorted(order) == list(range(len(scores)))
    ranks = [(scores[row] is None, -(scores[row] or 0), ids[row]) for row in order]
    assert ranks == sorted(ranks)


def test_the_worst_share(tmp_path: Path) -> None:
    """Half of five rows are two; of the two with .2, the one whose id comes first."""
    corpus = ScoredCorpus(tmp_path, [(0.9, 0.1), (0.2, 0.1), (None, 0.1), (0.1, 0.1), (0.2, 0.1)])
    assert recaptioned(corpus.run((LOOKUP, {"worst_aligned_share": 0.5}))) == {"r1", "r3"}
    assert recaptioned(corpus.run((LOOKUP, {"worst_aligned_share": 1.0}))) == {f"r{n}" for n in range(5)}
    assert recaptioned(corpus.run((LOOKUP, {"worst_aligned_share": 0.0}))) == set()


def test_conditions_hold_together(tmp_path: Path) -> None:
    corpus = ScoredCorpus(
        tmp_path, [(0.9, 0.1), (0.2, 0.1), (0.1, 0.3)], ["five words are in here", "two words", "one"]
    )
    rules = {"only_where_raw_fails": [{"words_num_filter": {"min_num": 3}}]}
    assert recaptioned(corpus.run((LOOKUP, rules))) == {"r1", "r2"}
    assert recaptioned(corpus.run((LOOKUP, {**rules, "best_of": True}))) == {"r2"}


@pytest.mark.parametrize("workers", [1, 2])
def test_the_worst_share_of_thousands(tmp_path: Path, workers: int) -> None:
    """The share is of the whole corpus, not of a batch or a worker's part."""
    scores = random_scores(ROWS)
    corpus = ScoredCorpus(tmp_path, scores)
    known = [(score, f"r{number}") for number, (score, _) in enumerate(scores) if score is not None]
    worst = {row_id for _, row_id in sorted(known)[: round(0.3 * ROWS)]}
    assert recaptioned(corpus.run((LOOKUP, {"worst_aligned_share": 0.3}), workers=workers)) == worst


def test_a_raw_caption_stays_by_its_id(tmp_path: Path) -> None:
    corpus = ScoredCorpus(tmp_path, random_scores(ROWS))
    mixed = ("blip2_caption_lookup_mapper", {"raw_probability": 0.25})
    first = corpus.run(mixed)
    seed = derive_seed(42, LOOKUP)
    expected = {row.id for row in corpus.records if derive_seed(seed, "raw caption", row.id) / 2**63 >= 0.25}
    assert recaptioned(first) == expected
    # A binomial's standard deviation is 21 rows.
    assert len(expected) == pytest.approx(0.75 * ROWS, abs=80)
    assert recaptioned(corpus.run(mixed, workers=2)) == recaptioned(corpus.run(mixed, backwards=True)) == expected
    assert recaptioned(corpus.run(mixed, seed=43)) != expected


@pytest.mark.parametrize("workers", [1, 2])
def test_a_filter_by_alignment(tmp_path: Path, workers: int) -> None:
    scores = random_scores(ROWS)
    done = ScoredCorpus(tmp_path, scores).run(
        ("alignment_filter", {"min_score": 0.25, "max_score": 0.75}), workers=workers
    )
    inside = [n for n, (score, _) in enumerate(scores) if score is not None and 0.25 <= score <= 0.75]
    assert kept(done) == [f"r{number}" for number in inside]
    assert done.computed["alignment"].to_pylist() == [scores[number][0] for number in inside]
    decision = done.steps[0].decision
    low, high, unknown = (
        sum(test(score) for score, _ in scores)
        for test in (
            lambda score: score is not None and score < 0.25,
            lambda score: score is not None and score > 0.75,
            lambda score: score is None,
        )
    )
    assert decision.reasons == {"alignment low": low, "alignment high": high, "alignment unknown": unknown}
    assert decision.before is not None and decision.after is not None
    assert (decision.before["min"], decision.after["min"], decision.after["max"]) == (0, 0.3, 0.7)


def test_a_filter_judges_the_caption_that_a_row_carries_there(tmp_path: Path) -> None:
    """Before and behind the lookup, though Data-Juicer would not count the same statistic twice."""
    corpus = ScoredCorpus(tmp_path, [(0.9, 0.1), (0.9, 0.8), (0.1, 0.9)])
    by_score = ("alignment_filter", {"min_score": 0.5})
    assert kept(corpus.run(by_score, (LOOKUP, {}), by_score)) == ["r1"]
    changed = ("remove_specific_chars_mapper", {"chars_to_remove": "2"})
    assert kept(corpus.run((LOOKUP, {}), changed, by_score)) == ["r1"], "r2's caption is no longer the one with a score"


def test_the_best_by_share_and_number(tmp_path: Path) -> None:
    corpus = ScoredCorpus(tmp_path, [(0.5, 0), (0.9, 0), (None, 0), (0.5, 0), (0.7, 0)])
    selector = "best_aligned_selector"
    assert kept(corpus.run((selector, {"number": 3}))) == ["r0", "r1", "r4"]
    assert kept(corpus.run((selector, {"share": 0.4}))) == ["r1", "r4"]
    assert kept(corpus.run((selector, {"share": 0.4, "number": 1}))) == ["r1"]
    assert kept(corpus.run((selector, {"number": 99}))) == ["r0", "r1", "r2", "r3", "r4"]
    assert kept(corpus.run((selector, {"number": 3}), backwards=True)) == ["r4", "r1", "r0"]


def test_side_by_side_in_thousands(tmp_path: Path) -> None:
    corpus = ScoredCorpus(tmp_path, random_scores(ROWS))
    done = corpus.run((LOOKUP, {"keep_original_sample": True}), workers=2)
    assert kept(done) == [name for row in corpus.records for name in (row.id, f"{row.id}_2")]
    expected = [text for row, new in zip(corpus.records, corpus.blip2, strict=True) for text in (row.caption, new)]
    assert [caption_of(row["text"]) for row in done.rows] == expected
