"""What a store of jobs adds to the SDK's executor: time per submission, and throughput, against one endpoint by turns.

The endpoint is the one that ``GLOBUS_COMPUTE_ENDPOINT_ID`` names, with the SDK's own variables: such as one of the
local service, as ``docs/local-endpoint.md`` starts it.
"""

from __future__ import annotations

import os
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from benchmarks.harness import Bench, median
from benchmarks.rows import Row, Target

ENDPOINT = "GLOBUS_COMPUTE_ENDPOINT_ID"
ADDED = Target(50)
THROUGHPUT = Target(0.95, at_most=False, of_ratio=True)


def successor(number: int) -> int:
    """Return the next number."""
    return number + 1


def measure(opened: AbstractContextManager[Any], count: int) -> tuple[float, float]:
    """Microseconds of a submission, the median, and items a second until all values are here."""
    with opened as session:
        assert session.submit(successor, 0).result() == 1  # workers are there, and the function is registered
        times_us, futures = [], []
        begin = time.perf_counter()
        for number in range(count):
            before = time.perf_counter()
            futures.append(session.submit(successor, number))
            times_us.append((time.perf_counter() - before) * 1e6)
        assert [future.result() for future in futures] == list(range(1, count + 1))
        return median(times_us), count / (time.perf_counter() - begin)


def run(bench: Bench) -> list[Row]:
    """Both, in turns of the executor and of jobs."""
    endpoint = os.environ.get(ENDPOINT)
    if endpoint is None:
        note = f"{ENDPOINT} names no endpoint"
        return [
            Row("added to Executor.submit, p50", None, "us", target=ADDED, note=note),
            Row("throughput of jobs", None, "items/s", target=THROUGHPUT, note=note),
        ]
    from globus_compute_sdk import Executor
    from globus_compute_sdk.serialize import AllCodeStrategies, ComputeSerializer

    from prov_worker import jobs

    count, turns = bench.pick(10_000, 200), bench.pick(3, 1)
    by_source = ComputeSerializer(strategy_code=AllCodeStrategies())
    stock, ours = [], []
    with tempfile.TemporaryDirectory(dir=bench.crate_dir()) as directory:
        for number in range(turns):
            bench.say(f"{count} items each, turn {number + 1} of {turns}")
            kinds: list[tuple[list[tuple[float, float]], Callable[[], Any]]] = [
                (stock, lambda: Executor(endpoint_id=endpoint, task_group_id=uuid.uuid4(), serializer=by_source)),
                (ours, lambda number=number: jobs.open(endpoint, store=Path(directory) / f"{number}.jsonl")),
            ]
            for figures, opened in reversed(kinds) if number % 2 else kinds:
                figures.append(measure(opened(), count))
    stock_us, stock_rate = (median(values) for values in zip(*stock, strict=True))
    ours_us, ours_rate = (median(values) for values in zip(*ours, strict=True))
    return [
        Row("added to Executor.submit, p50", ours_us - stock_us, "us", stock_us, ADDED, count * turns,
            note="stock is the whole of Executor.submit, which serialises later, in another thread"),
        Row("throughput of jobs", ours_rate, "items/s", stock_rate, THROUGHPUT, turns,
            note=f"{count} calls until all values are there; stock: Executor"),
    ]  # fmt: skip
