"""Where many crates are read, piece by piece: in this process, or in several."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

#: Calls a function with each of many arguments, somewhere, and gives the results in any order.
Mapper = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]


def map_serial(function: Callable[[Any], Any], batches: Iterable[Any]) -> Iterator[Any]:
    """Yield a :data:`Mapper` that reads in this process."""
    yield from map(function, batches)


def map_processes(jobs: int) -> Mapper:
    """Return a :data:`Mapper` that reads in several processes, a bounded number at a time and in their order."""

    def mapper(function: Callable[[Any], Any], batches: Iterable[Any]) -> Iterator[Any]:
        import multiprocessing
        from concurrent.futures import Future, ProcessPoolExecutor

        # Not forked: the caller may have threads (Arrow's), whose locks a forked child would inherit.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(jobs, mp_context=context, initializer=_end_with_parent) as pool:
            try:
                waiting: deque[Future[Any]] = deque()
                for batch in batches:
                    waiting.append(pool.submit(function, batch))
                    if len(waiting) >= 2 * jobs:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    return mapper


def _end_with_parent() -> None:
    """Let a process that reads end when the one that asked it is killed: it would wait for work for ever."""
    import multiprocessing
    import threading

    parent = multiprocessing.parent_process()
    assert parent is not None  # this runs in a child

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
