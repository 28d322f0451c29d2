"""What it costs a task that its call is kept (``capture_arguments: packed``): recorded calls without and with it."""

from __future__ import annotations

import gc
import os
import tempfile
import time
from typing import Any

from benchmarks import functions
from benchmarks.harness import Bench, fresh, live_agent, median, provenance, quartiles
from benchmarks.rows import Row
from benchmarks.tasks import Caller, body, our_helper

WARM_UP, BATCH = 4, 8
#: Bytes of the argument.
SIZES = {"a no-op": 0, "a call with 10 kB": 10_000, "a call with 500 kB": 500_000}
#: Bytes of arguments per second that the agent has in journals and crates by all means.
_AGENT_BYTES_PER_S = 2_500_000


def run(bench: Bench) -> list[Row]:
    """Rows for calls of several sizes: time added to the task, and bytes of its crate."""
    processes, count = bench.pick(2, 1), bench.pick(16, 4)
    rows = []
    for name, size in SIZES.items():
        times: dict[str, list[float]] = {"types": [], "packed": []}
        cpu: dict[str, list[float]] = {"types": [], "packed": []}
        crate_bytes: dict[str, list[float]] = {"types": [], "packed": []}
        for _ in range(processes):
            bench.say(f"batches of recorded calls, {name}")
            crate_dir = bench.crate_dir()
            with live_agent(crate_dir):
                answer = fresh("benchmarks.packed_calls:batches", crate_dir=crate_dir, count=count, size=size)
                for how, task_id in answer["ids"].items():
                    times[how] += answer["wall"][how]
                    cpu[how] += answer["cpu"][how]
                    crate_bytes[how].append(_bytes_of(crate_dir, task_id))
        note = f"median of differences of batches of {BATCH}; stock is the call with capture_arguments: types"
        for kind, values in (("CPU time ", cpu), ("", times)):
            added = [packed - types for types, packed in zip(values["types"], values["packed"], strict=True)]
            stock = median(values["types"])
            rows.append(
                Row(f"kept call, {kind}added to {name}", median(added), "µs", stock, None, len(added),
                    **quartiles(added), note=note)
            )  # fmt: skip
        plain, kept = (median(values) / 1000 for values in crate_bytes.values())
        note = "files of the crate, beside one without the call"
        rows.append(Row(f"kept call, crate of {name}", kept, "kB", plain, None, processes, note=note))
    return rows


def batches(crate_dir: str, count: int, size: int) -> dict[str, dict[str, Any]]:
    """In a fresh process: µs per call, of batches with types alone and with kept calls; and a task id of each.

    Returns:
        ``wall`` and ``cpu`` (of the thread that calls), each a number per batch; ``ids``.
    """
    gc.collect()
    task = body(functions.take, os.urandom(size)) if size else body(functions.noop)
    with tempfile.TemporaryDirectory() as run_dir:
        callers = {
            how: Caller(our_helper(provenance(crate_dir, plots="none", capture_arguments=how)), task, run_dir)
            for how in ("types", "packed")
        }
        answer: dict[str, dict[str, Any]] = {key: {how: [] for how in callers} for key in ("wall", "cpu")}
        ids: dict[str, str] = {}
        for number in range(WARM_UP + count):
            for how in list(callers)[:: 1 if number % 2 else -1]:
                caller = callers[how]
                ids[how] = str(caller())  # the first with other settings reads them
                wall, cpu = [], []
                for _ in range(BATCH):
                    began = time.thread_time_ns()
                    wall.append(caller.timed_ns() / 1e3)
                    cpu.append((time.thread_time_ns() - began) / 1e3)
                if number >= WARM_UP:
                    answer["wall"][how].append(median(wall))
                    answer["cpu"][how].append(median(cpu))
                # the agent goes idle now and then, as between real tasks; and rings have space
                time.sleep(0.002 + BATCH * size / _AGENT_BYTES_PER_S)
    return {**answer, "ids": {how: ids[how] for how in callers}}


def _bytes_of(crate_dir: str, task_id: str) -> int:
    """Bytes of the files of a crate, once it is there."""
    crate, until = os.path.join(crate_dir, f"{task_id}.crate"), time.monotonic() + 120
    while not os.path.exists(crate) and time.monotonic() < until:
        time.sleep(0.05)
    return sum(os.path.getsize(os.path.join(parent, name)) for parent, _, names in os.walk(crate) for name in names)
