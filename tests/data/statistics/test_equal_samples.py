"""Samples of equal size: sizes, independence of file order, and what the smaller corpus does to them."""

import random

from hypothesis import given
from hypothesis import strategies as st

from recap.data.corpus.records import Record
from recap.data.statistics.sampling import cut, equal_samples, shuffled_captions

CAPTIONS = st.lists(st.lists(st.sampled_from(["a", "b", "c"]), max_size=6).map(" ".join), min_size=1, max_size=20)


def corpus(captions: list[str]) -> list[Record]:
    return [Record(f"id{number}", f"{number}.jpg", caption) for number, caption in enumerate(captions)]


def test_cut_is_exact_and_leaves_out_empty_captions() -> None:
    assert cut([["a", "b"], [], ["c", "d", "e"], ["f"]], 4) == [["a", "b"], ["c", "d"]]
    assert cut([["a"]], 0) == []


@given(CAPTIONS, CAPTIONS, st.integers(1, 30), st.integers(1, 60))
def test_sizes_are_equal(before: list[str], after: list[str], rows: int, tokens: int) -> None:
    first, second = equal_samples([corpus(before), corpus(after)], rows=rows, tokens=tokens, seed=1)
    assert len(first.captions) == len(second.captions) == min(rows, len(before), len(after))
    available = min(sum(len(caption.split()) for caption in captions) for captions in (before, after))
    assert first.num_tokens == second.num_tokens == min(tokens, available)


def test_file_order_does_not_matter_and_the_seed_does() -> None:
    records = corpus([f"caption {number}" for number in range(50)])
    shuffled = random.Random(0).sample(records, k=len(records))
    assert shuffled_captions(records, 1) == shuffled_captions(shuffled, 1)
    assert shuffled_captions(records, 1) != shuffled_captions(records, 2)


def test_surviving_rows_keep_their_order() -> None:
    records = corpus([f"caption {number}" for number in range(50)])
    survivors = [caption for caption in shuffled_captions(records, 1) if caption.endswith("5")]
    assert shuffled_captions([record for record in records if record.caption.endswith("5")], 1) == survivors
