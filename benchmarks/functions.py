"""Functions that benchmarks send to workers. Each imports what it needs, and takes about as long as it says."""

from __future__ import annotations


def noop() -> None:
    return None


def take(data: bytes) -> int:
    return len(data)


def sleep(seconds: float) -> None:
    import time

    time.sleep(seconds)


def spin(seconds: float) -> None:
    """Compute until a time has passed, in pure Python."""
    import time

    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


def cpu() -> int:
    """About 1 s; gives the GIL up each 5 ms, when another thread asks for it."""
    x = 0
    for i in range(44_000_000):
        x += i & 3
    return x


def gil_sum() -> int:
    """About 1 s inside one call that keeps the GIL."""
    return sum(range(100_000_000))


def gil_re() -> bool:
    """About 1 s of backtracking, GIL kept."""
    import re

    return re.match(r"(a+)+$", "a" * 25 + "b") is not None


def gil_sort() -> int:
    """About 1 s of sorting, GIL kept; the list is made first."""
    import random

    return len(sorted([random.random() for _ in range(10)] * 3_000_000))


def sleep_1s() -> None:
    import time

    time.sleep(1)


def die() -> None:
    """Kill the worker, a moment after the task before has been sent off.

    A worker that dies while its queue's feeder thread writes keeps the lock of Parsl's queue for ever, and no worker of
    the block answers any more, stock or ours.
    """
    import os
    import signal
    import time

    time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGKILL)


def half_busy(seconds: float) -> None:
    """Compute and sleep by turns until a time has passed, so that samples differ."""
    import time

    until = time.perf_counter() + seconds
    while (left := until - time.perf_counter()) > 0:
        turn = time.perf_counter() + min(0.04, left)
        while time.perf_counter() < turn:
            pass
        time.sleep(min(0.06, max(0.0, until - time.perf_counter())))
