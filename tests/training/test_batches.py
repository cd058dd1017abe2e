"""A global batch is cut to fit the machine, or refused in one line."""

import pytest

from recap.runtime.errors import UserError
from recap.training.batches import BatchPlan, batch_plan


@pytest.mark.parametrize(
    ("processes", "whole", "micro", "expected"),
    [(1, 256, 8, (8, 32)), (8, 256, 8, (8, 4)), (2, 8, 16, (4, 1)), (1, 128, 1, (1, 128)), (4, 12, 2, None)],
)
def test_accumulation_follows_from_the_machine(
    processes: int, whole: int, micro: int, expected: tuple[int, int] | None
) -> None:
    """4 processes share 12 samples, 3 each, which no micro-batches of 2 make up."""
    if expected is None:
        with pytest.raises(UserError, match=r"multiple of 4 processes x 2 .*found 12; the next that fit are 8 and 16"):
            batch_plan(whole, micro, processes)
    else:
        assert batch_plan(whole, micro, processes) == BatchPlan(*expected, processes)


def test_a_batch_that_processes_cannot_share_is_one_clear_line() -> None:
    with pytest.raises(UserError, match=r"expected a multiple of the 3 processes .*found 16"):
        batch_plan(16, 4, 3)
