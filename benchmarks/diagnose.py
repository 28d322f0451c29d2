"""What a whole diagnosis of a sound endpoint costs, in warm round trips of the SDK's executor, by turns.

The endpoint is the one that ``GLOBUS_COMPUTE_ENDPOINT_ID`` names, as for :mod:`benchmarks.jobs`.
"""

from __future__ import annotations

import os
import time
import uuid
from collections import defaultdict

from benchmarks.harness import Bench, median
from benchmarks.jobs import ENDPOINT, successor
from benchmarks.rows import Row, Target

NAME = "diagnosis, without its checks' own work"
TRIPS = Target(3, of_ratio=True)


def own_work_s(tasks: list[tuple[int, float]]) -> float:
    """Seconds that the checks themselves take: of each trip, its longest task.

    Args:
        tasks: trip and seconds of each.
    """
    longest: dict[int, float] = defaultdict(float)
    for trip, seconds in tasks:
        longest[trip] = max(longest[trip], seconds)
    return sum(longest.values())


def run(bench: Bench) -> list[Row]:
    """A diagnosis, and a round trip of the executor, in turns."""
    endpoint = os.environ.get(ENDPOINT)
    if endpoint is None:
        return [Row(NAME, None, "s", target=TRIPS, note=f"{ENDPOINT} names no endpoint")]
    from globus_compute_sdk import Executor
    from globus_compute_sdk.serialize import AllCodeStrategies, ComputeSerializer

    from prov_worker import diagnose

    diagnoses_s, work_s, trips_s = [], [], []
    by_source = ComputeSerializer(strategy_code=AllCodeStrategies())
    # Without a limit of the SDK's own on requests in a row, which would count as time of a round trip.
    options = {"task_group_id": uuid.uuid4(), "serializer": by_source, "api_burst_limit": 8, "api_burst_window_s": 1}
    with Executor(endpoint_id=endpoint, **options) as executor:
        assert executor.submit(successor, 0).result() == 1  # workers are there, and the function is registered
        turns = bench.pick(9, 2)
        for number in range(turns):
            bench.say(f"turn {number + 1} of {turns}")
            begin = time.perf_counter()
            assert executor.submit(successor, number).result() == number + 1
            trips_s.append(time.perf_counter() - begin)
            report = diagnose.endpoint(endpoint, timeout=120)
            evidence = report.evidence
            assert not report.counts()["fail"], report.to_text()
            done = [(task.stage, (task.ended_ns - task.began_ns) / 1e9) for task in evidence.tasks]
            work_s.append(own_work_s(done))
            diagnoses_s.append(evidence.took_s - work_s[-1])
    return [
        Row(NAME, median(diagnoses_s), "s", median(trips_s), TRIPS, turns,
            note=f"stock is one warm round trip of Executor; all checks, whose own work takes {median(work_s):.2f} s"),
    ]  # fmt: skip
