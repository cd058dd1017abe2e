"""Samples of equal size: sizes, independence of file order, and what the smaller corpus does to them."""

import random

from hypothesis import given
from hypothesis import strategies as st

from recap.data.corpus.records import Record
from recap.data.statistics.sampling import cut, equal_samples, equal_subsamples, shuffled_captions

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


@given(CAPTIONS, CAPTIONS, st.integers(1, 5))
def test_subsamples_are_equal_and_disjoint_along_pictures(before: list[str], after: list[str], count: int) -> None:
    # Each picture's words end in a letter of its own; numbers would be no part of a word.
    rows = corpus([" ".join(f"{word}-{chr(97 + n)}" for word in caption.split()) for n, caption in enumerate(before)])
    rows += [Record(f"again{number}", row.image, row.caption) for number, row in enumerate(rows)]
    parts = equal_subsamples([rows, corpus(after)], count=count, rows=10**9, tokens=10**9, seed=3)
    assert len(parts) == count
    assert len({len(sample.captions) for part in parts for sample in part}) == 1
    assert len({sample.num_tokens for part in parts for sample in part}) == 1
    pictures = [{word[-1] for words in part[0].token_lists for word in words} for part in parts]
    assert sum(map(len, pictures)) == len(set().union(*pictures))


def test_a_part_is_of_the_same_pictures_before_and_after() -> None:
    before = corpus([f"before w{chr(97 + number)}" for number in range(20)])
    after = corpus([f"after w{chr(97 + number)}" for number in range(20)])
    for first, second in equal_subsamples([before, after], count=4, rows=100, tokens=100, seed=1):
        assert [words[1] for words in first.token_lists] == [words[1] for words in second.token_lists]
        assert len(first.captions) == 5


def test_the_seed_deals_the_pictures() -> None:
    rows = corpus([f"w{chr(97 + number)}" for number in range(20)])
    one, again, other = (equal_subsamples([rows], count=2, rows=9, tokens=9, seed=seed) for seed in (1, 1, 2))
    assert one == again != other
    assert equal_subsamples([rows[::-1]], count=2, rows=9, tokens=9, seed=1) == one
