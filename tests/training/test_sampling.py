"""The order of samples: fixed length, every row once per pass, no dependence on anything but the seed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pyarrow import parquet

from recap.runtime.errors import UserError
from recap.training.dataset import Example
from recap.training.sampling import (
    exposure,
    exposure_by_source,
    group_by_modality_length,
    mixed_order,
    row_order,
    write_samples,
)


def row(number: int, length: int, *, pictured: bool) -> Example:
    """A row whose conversation has `length` characters."""
    return Example("", f"r{number}", f"{number}.png" if pictured else None, [{"from": "gpt", "value": "x" * length}])


# Lengths 3 7 5 9 (pictured) and 2 8 4 (text), in turn.
ROWS = [row(n, length, pictured=n % 2 == 0) for n, length in enumerate((3, 2, 7, 8, 5, 4, 9))]


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


def test_steps_are_of_one_modality_and_run_from_long_to_short() -> None:
    # Dealt: pictured 0 2 4 6, text 1 3 5. Of three at a time 0 2 4 are whole first, then 1 3 5; 6 is left.
    order = np.array([0, 1, 2, 3, 4, 5, 6, 1, 3])
    # The second pass's 1 and 3 have 6 for company: one mixed step, pictures first.
    assert group_by_modality_length(order, ROWS, 3).tolist() == [2, 4, 0, 3, 5, 1, 6, 3, 1]


def test_a_step_comes_when_its_last_sample_does() -> None:
    assert group_by_modality_length(np.array([0, 1, 3, 2]), ROWS, 2).tolist() == [3, 1, 2, 0]


@given(
    st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=1, max_size=30),
    st.integers(1, 9),
    st.integers(1, 12),
    st.integers(0, 2**40),
)
def test_grouping_trains_on_the_same_samples(
    kinds: list[tuple[int, bool]], samples_per_step: int, steps: int, seed: int
) -> None:
    rows = [row(n, length, pictured=pictured) for n, (length, pictured) in enumerate(kinds)]
    order = row_order(len(rows), steps * samples_per_step, seed)
    grouped = group_by_modality_length(order, rows, samples_per_step)
    assert sorted(grouped) == sorted(order)
    mixed = 0
    for step in grouped.reshape(steps, samples_per_step):
        kinds_here = [rows[sample].image is not None for sample in step]
        assert kinds_here == sorted(kinds_here, reverse=True)
        mixed += len(set(kinds_here)) > 1
        lengths = [(rows[sample].image is not None, len(rows[sample].conversations[0]["value"])) for sample in step]
        assert lengths == sorted(lengths, reverse=True)
    assert mixed <= 1


def test_micro_batches_of_grouped_steps_hold_less_padding() -> None:
    lengths = np.random.default_rng(0).integers(1, 100, 64)
    rows = [row(n, int(length), pictured=True) for n, length in enumerate(lengths)]
    order = row_order(64, 64, 42)
    dealt, grouped = (
        sum(4 * lengths[batch].max() for batch in samples.reshape(-1, 4))
        for samples in (order, group_by_modality_length(order, rows, 32))
    )
    assert lengths.sum() < grouped < 1.1 * lengths.sum() < 1.5 * lengths.sum() < dealt


def test_longer_runs_begin_alike() -> None:
    rows = [row(n, n % 13, pictured=n % 5 > 0) for n in range(100)]
    short, long = (group_by_modality_length(row_order(100, steps * 4, 42), rows, 4) for steps in (30, 60))
    # All but the last step of the shorter one, which may be mixed of what was left.
    assert short[:-4].tolist() == long[: len(short) - 4].tolist()


def test_a_quarter_of_captions_is_every_fourth_sample() -> None:
    """8 samples: 6 of the 4 conversations, 2 of the 3 captions, which are rows 4, 5, 6."""
    order = mixed_order(4, 3, 8, 0.25, 42)
    assert [sample >= 4 for sample in order] == [False, False, False, True] * 2
    assert order[[0, 1, 2, 4, 5, 6]].tolist() == row_order(4, 6, 42).tolist()


@given(
    st.integers(1, 30),
    st.integers(1, 30),
    st.integers(2, 200),
    st.floats(0, 1, exclude_min=True, exclude_max=True),
    st.integers(0, 2**40),
)
def test_the_share_of_captions_is_exact_wherever_one_looks(
    conversations: int, captions: int, samples: int, share: float, seed: int
) -> None:
    wanted = round(share * samples)
    assume(0 < wanted < samples)
    order = mixed_order(conversations, captions, samples, share, seed)
    drawn = order[order >= conversations] - conversations
    assert len(order) == samples and len(drawn) == wanted
    # No caption again before each was there, and the conversations in the order that they have alone.
    for start in range(0, wanted, captions):
        turn = drawn[start : start + captions].tolist()
        assert len(set(turn)) == len(turn) == min(captions, wanted - start)
    assert order[order < conversations].tolist() == row_order(conversations, samples - wanted, seed).tolist()
    so_far = np.concatenate([[0], np.cumsum(order >= conversations)])
    for length in (1, min(7, samples), samples):
        counts = so_far[length:] - so_far[: len(so_far) - length]
        assert (np.abs(counts - length * wanted / samples) < 1).all()


@pytest.mark.parametrize(("share", "wanted"), [(0.05, 0), (0.95, 8)])
def test_a_share_that_so_few_samples_cannot_have_is_refused(share: float, wanted: int) -> None:
    with pytest.raises(UserError, match=rf"share of 8 samples .* found {share}, which is {wanted}; .* set 0"):
        mixed_order(4, 3, 8, share, 42)


def test_exposure_is_told_for_each_source() -> None:
    rows = [row(0, 1, pictured=True), row(1, 1, pictured=True), replace(row(2, 1, pictured=True), source="caption")]
    assert exposure_by_source(np.array([0, 2, 2, 0, 2]), rows) == {
        "conversation": {"rows": 2, "samples_seen": 2, "unique_samples": 1, "epochs": 1.0},
        "caption": {"rows": 1, "samples_seen": 3, "unique_samples": 1, "epochs": 3.0},
    }


def test_the_samples_of_every_step_are_on_record(tmp_path: Path) -> None:
    rows = [*ROWS[:3], replace(ROWS[3], source="caption")]
    write_samples(tmp_path / "new" / "samples.parquet", np.array([2, 0, 3, 1]), rows, 2)
    assert parquet.read_table(tmp_path / "new" / "samples.parquet").to_pydict() == {
        "step": [1, 1, 2, 2],
        "id": ["r2", "r0", "r3", "r1"],
        "image": ["2.png", "0.png", None, None],
        "source": ["conversation", "conversation", "caption", "conversation"],
    }
