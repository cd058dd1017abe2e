"""The order of samples: fixed length, every row once per pass, no dependence on anything but the seed."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recap.training.sampling import exposure, row_order


@given(st.integers(1, 40), st.integers(1, 200), st.integers(0, 2**40))
def test_every_pass_is_a_permutation_and_the_length_is_the_run_s(rows: int, samples: int, seed: int) -> None:
    order = row_order(rows, samples, seed)
    assert len(order) == samples
    for start in range(0, samples - rows + 1, rows):
        assert sorted(order[start : start + rows]) == list(range(rows))
    rest = order[samples // rows * rows :]
    assert len(set(rest.tolist())) == len(rest)


def test_a_longer_run_starts_with_the_shorter_one() -> None:
    assert np.array_equal(row_order(7, 30, 42)[:11], row_order(7, 11, 42))


def test_passes_differ_and_seeds_differ() -> None:
    order = row_order(50, 100, 42)
    assert not np.array_equal(order[:50], order[50:])
    assert not np.array_equal(order, row_order(50, 100, 43))


def test_order_is_the_same_on_every_machine() -> None:
    assert row_order(5, 12, 42).tolist() == [0, 3, 4, 1, 2, 4, 1, 2, 0, 3, 0, 2]


def test_exposure_counts_what_was_seen() -> None:
    assert exposure(np.array([0, 1, 2, 0, 1]), 3) == {
        "rows": 3,
        "samples_seen": 5,
        "unique_samples": 3,
        "epochs": 5 / 3,
    }
