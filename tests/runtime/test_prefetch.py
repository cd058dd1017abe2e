import threading
import time

import pytest

from recap.runtime.prefetch import prefetch


def test_items_come_in_order_whatever_the_threads_do() -> None:
    def load(item: int) -> int:
        time.sleep(0.002 * (item % 3))
        return item * 10

    assert list(prefetch([2, 1, 3, 0, 5], load, threads=3, ahead=lambda: 2)) == [20, 10, 30, 0, 50]


def test_at_most_so_many_are_loaded_ahead_and_the_number_may_change() -> None:
    loaded: list[int] = []
    ahead = [2]
    items = prefetch(range(20), loaded.append, threads=1, ahead=lambda: ahead[0])

    def assert_loads(count: int) -> None:
        deadline = time.monotonic() + 10
        while len(loaded) < count and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(0.05)  # what is too much would come now
        assert loaded == list(range(count))

    for expected in (3, 4):
        next(items)
        assert_loads(expected)
    ahead[0] = 5
    next(items)
    assert_loads(8)
    items.close()


def test_the_next_item_is_loaded_while_the_caller_works() -> None:
    second = threading.Event()
    items = prefetch([1, 2], lambda item: second.set() if item == 2 else None, threads=1, ahead=lambda: 1)
    next(items)
    assert second.wait(timeout=5)
    items.close()


def test_what_load_raises_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        list(prefetch([1, 0], lambda item: 1 // item, threads=2, ahead=lambda: 1))
