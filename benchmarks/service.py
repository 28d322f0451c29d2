"""Tasks a second through the local service, beside those of the engine alone.

The endpoint is the one that ``GLOBUS_COMPUTE_ENDPOINT_ID`` names, with the SDK's own variables: one of the local
service, as ``docs/local-endpoint.md`` starts it. The engine alone is Globus Compute's own, in this process, with as
many workers.
"""

from __future__ import annotations

import os
import time
import uuid
from typing import Any

from benchmarks.harness import Bench, median
from benchmarks.jobs import ENDPOINT, successor
from benchmarks.rows import Row, Target

WORKERS = 2
RATE = Target(0.5, at_most=False, of_ratio=True)


def serializer() -> Any:
    """Sends functions as source: workers elsewhere cannot import this module."""
    from globus_compute_sdk.serialize import AllCodeStrategies, ComputeSerializer

    return ComputeSerializer(strategy_code=AllCodeStrategies())


def through_service(endpoint: str, count: int) -> float:
    """Tasks a second by the SDK's executor, from the first submission until the last value is here."""
    from globus_compute_sdk import Executor

    group, by_source = uuid.uuid4(), serializer()
    with Executor(endpoint_id=endpoint, task_group_id=group, batch_size=1000, serializer=by_source) as executor:
        assert executor.submit(successor, 0).result() == 1
        begin = time.perf_counter()
        futures = [executor.submit(successor, number) for number in range(count)]
        assert [future.result() for future in futures] == list(range(1, count + 1))
        return count / (time.perf_counter() - begin)


def engine_alone(count: int) -> float:
    """Tasks a second of the engine, from the first submission until the last value is here."""
    from prov_worker.globus.embedded import EmbeddedEndpoint

    with EmbeddedEndpoint(engine="GlobusComputeEngine", workers=WORKERS, serializer=serializer()) as endpoint:
        assert endpoint.submit(successor, 0).result() == 1
        begin = time.perf_counter()
        futures = [endpoint.submit(successor, number) for number in range(count)]
        assert [future.result() for future in futures] == list(range(1, count + 1))
        return count / (time.perf_counter() - begin)


def run(bench: Bench) -> list[Row]:
    """Both, by turns."""
    endpoint = os.environ.get(ENDPOINT)
    title = "tasks through the local service"
    if endpoint is None:
        return [Row(title, None, "tasks/s", target=RATE, note=f"{ENDPOINT} names no endpoint")]
    count, turns = bench.pick(10_000, 200), bench.pick(3, 1)
    service, engine = [], []
    for turn in range(turns):
        bench.say(f"{count} tasks each, turn {turn + 1} of {turns}")
        engine.append(engine_alone(count))
        service.append(through_service(endpoint, count))
    note = f"{count} calls until all values are there; stock: the engine alone, {WORKERS} workers"
    return [Row(title, median(service), "tasks/s", median(engine), RATE, turns, note=note)]
