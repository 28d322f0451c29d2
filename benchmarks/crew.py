"""A crew: processes forked from one interpreter, each a worker to the agent, with a slot and a journal of its own.

A fork costs a few megabytes, a worker of an executor a hundred, so that a laptop holds as many as a node.
They run in a fresh process (:func:`benchmarks.harness.fresh`), never in the benchmark's own.
"""

from __future__ import annotations

import os
import struct
import sys
import tempfile
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks import functions
from benchmarks.harness import provenance

#: Result of one task: task id, wall clock when the worker had its result.
_RESULT = struct.Struct("<16sq")


def sleepers(crate_dir: str, workers: int, seconds: float, **settings: Any) -> None:
    """Hold slots in which a task runs for a time: each worker runs one task, which sleeps."""
    from benchmarks.tasks import Caller, body, our_helper

    helper = our_helper(provenance(crate_dir, **settings))
    task = body(functions.sleep, seconds)
    with tempfile.TemporaryDirectory() as directory:

        def work(_: int) -> None:
            Caller(helper, task, os.path.join(directory, "run"))()

        _fork(work, workers)


def steady(
    crate_dir: str, workers: int, rate_hz: float, seconds: float, task_s: float, **settings: Any
) -> list[tuple[str, int]]:
    """Run sleeping tasks through the real helper at a steady rate.

    Args:
        crate_dir: where crates appear.
        workers: number of workers; each runs ``rate_hz / workers`` tasks a second.
        rate_hz: tasks a second, all workers together.
        seconds: for how long.
        task_s: length of a task.
        settings: of the recording.

    Returns:
        Task id and wall clock (ns) of each result, at the moment when the worker had it.
    """

    from benchmarks.tasks import Caller, body, our_helper

    helper = our_helper(provenance(crate_dir, **settings))
    task = body(functions.sleep, task_s)
    period = workers / rate_hz
    with tempfile.TemporaryDirectory() as directory:

        def work(number: int) -> None:
            call = Caller(helper, task, os.path.join(directory, "run"))
            begin = time.monotonic() + period * number / workers
            with open(os.path.join(directory, f"results.{number}"), "wb") as results:
                for count in range(max(1, round(seconds / period))):
                    time.sleep(max(0.0, begin + count * period - time.monotonic()))
                    task_id = call()
                    results.write(_RESULT.pack(task_id.bytes, time.time_ns()))

        _fork(work, workers)
        return [
            result for number in range(workers) for result in _results(os.path.join(directory, f"results.{number}"))
        ]


def _results(path: str) -> Iterator[tuple[str, int]]:
    with open(path, "rb") as file:
        for task_id, time_ns in _RESULT.iter_unpack(file.read()):
            yield str(uuid.UUID(bytes=task_id)), time_ns


def _fork(work: Callable[[int], None], workers: int) -> None:
    """Run ``work(number)`` in so many forked children, and wait for them.

    Raises:
        RuntimeError: one of them failed; its traceback is on stderr.
    """
    children = []
    for number in range(workers):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                work(number)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        children.append(pid)
    statuses = [os.waitpid(pid, 0)[1] for pid in children]
    if any(statuses):
        raise RuntimeError(f"{sum(map(bool, statuses))} of {workers} workers failed")
