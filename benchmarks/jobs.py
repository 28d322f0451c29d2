"""What a store of jobs adds to the SDK's executor: submissions, throughput, callbacks, at one endpoint by turns.

The endpoint is the one that ``GLOBUS_COMPUTE_ENDPOINT_ID`` names, with the SDK's own variables: such as one of the
local service, as ``docs/local-endpoint.md`` starts it.
"""

from __future__ import annotations

import os
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from benchmarks.harness import Bench, median
from benchmarks.rows import Row, Target

ENDPOINT = "GLOBUS_COMPUTE_ENDPOINT_ID"
ADDED = Target(50)
THROUGHPUT = Target(0.95, at_most=False, of_ratio=True)
CALLBACK = Target(100)
_SUBMITTED, _MAPPED, _CALLED = (
    "added to Executor.submit, p50",
    "throughput of a batch",
    "callback after its result, p99",
)


def successor(number: int) -> int:
    """Return the next number."""
    return number + 1


def returned_at(number: int) -> float:
    """Return the seconds since the epoch; of a few tasks that end one after the other."""
    import time

    time.sleep(0.02)
    return time.time()


def submissions(opened: AbstractContextManager[Any], count: int) -> float:
    """Microseconds of a submission, the median; all values are here in the end."""
    with opened as session:
        assert session.submit(successor, 0).result() == 1  # workers are there, and the function is registered
        times_us, futures = [], []
        for number in range(count):
            before = time.perf_counter()
            futures.append(session.submit(successor, number))
            times_us.append((time.perf_counter() - before) * 1e6)
        assert [future.result() for future in futures] == list(range(1, count + 1))
        return median(times_us)


def mapped(executor: AbstractContextManager[Any], count: int) -> tuple[float, float]:
    """As :func:`batched`, of the executor, by ``submit``: its ``map`` raises NotImplementedError (SDK 4.19)."""
    with executor as session:
        assert session.submit(successor, 0).result() == 1
        begin, cpu_s = time.perf_counter(), time.process_time()
        futures = [session.submit(successor, number) for number in range(count)]
        assert [future.result() for future in futures] == list(range(1, count + 1))
        return count / (time.perf_counter() - begin), (time.process_time() - cpu_s) / count * 1e6


def batched(opened: AbstractContextManager[Any], count: int) -> tuple[float, float]:
    """Items a second of a batch, and microseconds of this process's CPU per item."""
    with opened as session:
        assert session.submit(successor, 0).result() == 1
        begin, cpu_s = time.perf_counter(), time.process_time()
        assert session.batch(successor, range(count)).results() == list(range(1, count + 1))
        return count / (time.perf_counter() - begin), (time.process_time() - cpu_s) / count * 1e6


def called_back(opened: AbstractContextManager[Any], count: int) -> tuple[list[float], list[float]]:
    """Milliseconds from a result to its callback, and from the function's return, of a batch."""
    since_result_ms, since_return_ms = [], []

    def on_done(job: Any) -> None:
        moment = time.time()
        since_result_ms.append((moment - job.attempts[-1].ended_at) * 1e3)
        since_return_ms.append((moment - job.result()) * 1e3)

    with opened as session:
        session.batch(returned_at, range(count), on_done=on_done).results()
    return since_result_ms, since_return_ms


def stock_callback(executor: AbstractContextManager[Any], count: int) -> list[float]:
    """Milliseconds from the function's return to the callback of the SDK's future."""
    since_return_ms: list[float] = []
    with executor as session:
        futures = [session.submit(returned_at, number) for number in range(count)]
        for future in futures:
            future.add_done_callback(lambda done: since_return_ms.append((time.time() - done.result()) * 1e3))
        for future in futures:
            future.result()
    return since_return_ms


def run(bench: Bench) -> list[Row]:
    """All of them, in turns of the executor and of jobs."""
    endpoint = os.environ.get(ENDPOINT)
    if endpoint is None:
        note = f"{ENDPOINT} names no endpoint"
        return [
            Row(_SUBMITTED, None, "us", target=ADDED, note=note),
            Row(_MAPPED, None, "items/s", target=THROUGHPUT, note=note),
            Row(_CALLED, None, "ms", target=CALLBACK, note=note),
        ]
    from globus_compute_sdk import Executor
    from globus_compute_sdk.serialize import AllCodeStrategies, ComputeSerializer

    from prov_worker import jobs

    few, count, turns = bench.pick(2_000, 100), bench.pick(10_000, 200), bench.pick(3, 1)
    by_source = ComputeSerializer(strategy_code=AllCodeStrategies())
    figures: dict[str, list[Any]] = defaultdict(list)

    def executor() -> Any:
        return Executor(endpoint_id=endpoint, task_group_id=uuid.uuid4(), serializer=by_source)

    with tempfile.TemporaryDirectory(dir=bench.crate_dir()) as directory:

        def store() -> Any:
            return jobs.open(endpoint, store=Path(directory) / f"{uuid.uuid4()}.jsonl")

        for number in range(turns):
            pairs: list[tuple[str, Callable[[], Any]]] = [
                ("submit, stock", lambda: submissions(executor(), few)),
                ("submit", lambda: submissions(store(), few)),
                ("rate, stock", lambda: mapped(executor(), count)),
                ("rate", lambda: batched(store(), count)),
                ("callback, stock", lambda: stock_callback(executor(), few // 10)),
                ("callback", lambda: called_back(store(), few // 10)),
            ]
            for first in range(0, len(pairs), 2):
                pair = pairs[first : first + 2]
                for name, measure in reversed(pair) if number % 2 else pair:
                    bench.say(f"{name}, turn {number + 1} of {turns}")
                    figures[name].append(measure())
    stock_us, added_us = median(figures["submit, stock"]), median(figures["submit"])
    since_result_ms = sorted(time_ms for turn, _ in figures["callback"] for time_ms in turn)
    since_return_ms = [time_ms for _, turn in figures["callback"] for time_ms in turn]
    stock_ms = [time_ms for turn in figures["callback, stock"] for time_ms in turn]
    pairs = zip(figures["rate"], figures["rate, stock"], strict=True)
    ratio = median([ours / stock for (ours, _), (stock, _) in pairs])
    rate = median([ours for ours, _ in figures["rate"]])
    return [
        Row(_SUBMITTED, added_us - stock_us, "us", stock_us, ADDED, few * turns,
            note="stock is the whole of Executor.submit, which serialises later, in another thread"),
        Row(_MAPPED, rate, "items/s", rate / ratio, THROUGHPUT, turns,
            note=f"{count} items until all values are there; stock: Executor.submit, as its map is not implemented; "
            "the ratio is the median of the pairs', as the load of the machine changes from pair to pair"),
        Row("CPU of the client per item of it", median([cpu_us for _, cpu_us in figures["rate"]]), "us",
            median([cpu_us for _, cpu_us in figures["rate, stock"]]), None, turns, note="this process's, all threads"),
        Row(_CALLED, since_result_ms[int(0.99 * len(since_result_ms))], "ms", None, CALLBACK, len(since_result_ms),
            note="from the result's arrival here to on_done of a batch"),
        Row("callback after the function returned, p50", median(since_return_ms), "ms", median(stock_ms), None,
            len(since_return_ms), note="on its worker, on this machine; stock: add_done_callback of the SDK's future"),
    ]  # fmt: skip
