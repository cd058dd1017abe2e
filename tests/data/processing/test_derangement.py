"""Derangements: a permutation in which nobody meets its own kind, whatever the order of rows."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recap.data.processing.ops.derangement import Circle, kinds_of
from recap.runtime.errors import UserError


@st.composite
def kinds(draw: st.DrawFn) -> list[int]:
    """Kinds of which none has more than half of the rows."""
    sizes = draw(st.lists(st.integers(1, 5), min_size=2, max_size=8))
    rest = sum(sizes) - max(sizes)
    sizes += [1] * (max(sizes) - rest)
    return draw(st.permutations([kind for kind, size in enumerate(sizes) for _ in range(size)]))


@given(kinds(), st.integers(0, 2**32))
def test_nobody_meets_its_own_kind(kinds: list[int], seed: int) -> None:
    ids = [f"row-{number}" for number in range(len(kinds))]
    circle = Circle(ids, kinds, seed)
    for number in range(2 * len(ids)):
        others = [circle.other(row, number) for row in range(len(ids))]
        assert sorted(others) == list(range(len(ids)))
        assert all(kinds[row] != kinds[other] for row, other in enumerate(others))


@given(kinds(), st.integers(0, 2**32), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(kinds: list[int], seed: int, random) -> None:
    rows = [(f"row-{number}", kind) for number, kind in enumerate(kinds)]
    shuffled = random.sample(rows, len(rows))
    met = []
    for order in (rows, shuffled):
        circle = Circle([row for row, _ in order], [kind for _, kind in order], seed)
        met.append({row: order[circle.other(number)][0] for number, (row, _) in enumerate(order)})
    assert met[0] == met[1]


def test_another_seed_is_another_derangement() -> None:
    ids = [str(number) for number in range(50)]
    first, second = (Circle(ids, ids, seed) for seed in (1, 2))
    same = sum(first.other(row) == second.other(row) for row in range(50))
    assert same < 10


def test_everybody_may_meet_everybody() -> None:
    """Over the seeds, each of four rows meets each of the three others."""
    met = Counter((row, Circle("abcd", "abcd", seed).other(row)) for seed in range(300) for row in range(4))
    assert len(met) == 12 and min(met.values()) > 60


def test_an_image_in_most_rows_is_refused() -> None:
    with pytest.raises(
        UserError, match="expected other images for every image's caption, found one image in 2 of 3 rows"
    ):
        Circle("abc", "xxy", 42)


def test_rows_that_share_a_picture_or_words_are_of_a_kind() -> None:
    first, second, third, fourth, fifth, *_ = kinds_of(list("ppqrstuv"), list("abbcdefg"))
    assert first == second == third, "the second has the first's picture and the third's words"
    assert len({first, fourth, fifth}) == 3


def test_words_of_most_rows_do_not_count() -> None:
    assert kinds_of(list("pqrs"), list("aaab")) == list("pqrs")
