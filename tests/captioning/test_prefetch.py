import threading
import time

import pytest

from recap.captioning.prefetch import prefetch


def test_batches_come_in_order_whatever_the_threads_do() -> None:
    def load(item: int) -> int:
        time.sleep(0.002 * (item % 3))
        return item * 10

    assert list(prefetch([[2, 1], [], [3], [0, 5]], load, workers=3)) == [[20, 10], [], [30], [0, 50]]


def test_at_most_so_many_batches_are_loaded_ahead() -> None:
    loaded: list[int] = []
    batches = prefetch([[index] for index in range(10)], loaded.append, workers=1, ahead=2)
    next(batches)
    time.sleep(0.05)
    assert loaded == [0, 1, 2]
    batches.close()


def test_the_next_batch_is_loaded_while_the_caller_works() -> None:
    second = threading.Event()
    batches = prefetch([[1], [2]], lambda item: second.set() if item == 2 else None, workers=1)
    next(batches)
    assert second.wait(timeout=5)
    batches.close()


def test_what_load_raises_reaches_the_caller() -> None:
    def load(item: int) -> int:
        return 1 // item

    with pytest.raises(ZeroDivisionError):
        list(prefetch([[1], [0]], load, workers=2))
