"""Load items in threads, ahead of whoever uses them, in order: decoding images keeps no device waiting."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Loaded = TypeVar("Loaded")


def prefetch(
    batches: Iterable[Sequence[Item]], load: Callable[[Item], Loaded], *, workers: int, ahead: int = 2
) -> Iterator[list[Loaded]]:
    """Yield each batch loaded, while threads already load the next ones.

    Args:
        batches: Batches of items.
        load: Turns an item into what is yielded in its place; what it raises reaches the caller.
        workers: Threads.
        ahead: Batches that are loaded but not yet asked for: the bound on memory.
    """
    pending: deque[list[Future[Loaded]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for batch in batches:
                pending.append([pool.submit(load, item) for item in batch])
                if len(pending) > ahead:
                    yield [future.result() for future in pending.popleft()]
            while pending:
                yield [future.result() for future in pending.popleft()]
        finally:
            for future in (future for batch_futures in pending for future in batch_futures):
                future.cancel()
