"""Load items in threads, ahead of whoever uses them, in order: decoding images keeps no device waiting."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal, TypeVar

Item = TypeVar("Item")
Loaded = TypeVar("Loaded")

MOST_THREADS = 8
"""More than these wait for one another, and for the disk."""


def loading_threads(setting: Literal["auto"] | int = "auto") -> int:
    """How many threads load: what a parameter says, or one per CPU up to `MOST_THREADS`."""
    return min(MOST_THREADS, os.cpu_count() or 1) if setting == "auto" else setting


def prefetch(
    items: Iterable[Item], load: Callable[[Item], Loaded], *, threads: int, ahead: Callable[[], int]
) -> Iterator[Loaded]:
    """Yield each item loaded, while threads already load the next ones.

    Args:
        items: What is to be loaded.
        load: Turns an item into what is yielded in its place; what it raises reaches the caller.
        threads: That load.
        ahead: How many are loaded and not yet asked for, at most: the bound on memory. Asked again for every item.
    """
    pending: deque[Future[Loaded]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in items:
                pending.append(pool.submit(load, item))
                while len(pending) > ahead():
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
