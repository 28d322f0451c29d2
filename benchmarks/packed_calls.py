"""What it costs a task that its call is kept (``capture_arguments: packed``): recorded calls without and with it."""

from __future__ import annotations

import gc
import os
import tempfile
import time

from benchmarks import functions
from benchmarks.harness import Bench, fresh, live_agent, median, provenance, quartiles
from benchmarks.rows import Row
from benchmarks.tasks import Caller, body, our_helper

WARM_UP, BATCH = 4, 8
#: Bytes of the argument.
SIZES = {"a no-op": 0, "a call with 10 kB": 10_000, "a call with 100 kB": 100_000}


def run(bench: Bench) -> list[Row]:
    """Rows for calls of several sizes: time added to the task, and bytes of its crate."""
    processes, count = bench.pick(2, 1), bench.pick(16, 4)
    rows = []
    for name, size in SIZES.items():
        times: dict[str, list[float]] = {"types": [], "packed": []}
        crate_bytes: dict[str, list[float]] = {"types": [], "packed": []}
        for _ in range(processes):
            bench.say(f"batches of recorded calls, {name}")
            crate_dir = bench.crate_dir()
            with live_agent(crate_dir):
                answer = fresh("benchmarks.packed_calls:batches", crate_dir=crate_dir, count=count, size=size)
                for key, values in times.items():
                    values.extend(answer[key])
                for how, task_id in zip(times, answer["ids"], strict=True):
                    crate_bytes[how].append(_bytes_of(crate_dir, task_id))
        added = [packed - types for types, packed in zip(times["types"], times["packed"], strict=True)]
        rows.append(
            Row(
                f"kept call, added to {name}",
                median(added),
                "µs",
                median(times["types"]),
                None,
                len(added),
                **quartiles(added),
                note=f"median of differences of batches of {BATCH}; stock is the call with capture_arguments: types",
            )
        )
        plain, kept = (median(values) / 1000 for values in crate_bytes.values())
        note = "files of the crate, beside one without the call"
        rows.append(Row(f"kept call, crate of {name}", kept, "kB", plain, None, processes, note=note))
    return rows


def batches(crate_dir: str, count: int, size: int) -> dict[str, list[float] | list[str]]:
    """In a fresh process: µs per call, of batches with types alone and with kept calls; and a task id of each."""
    gc.collect()
    task = body(functions.take, os.urandom(size)) if size else body(functions.noop)
    with tempfile.TemporaryDirectory() as run_dir:
        callers = {
            how: Caller(our_helper(provenance(crate_dir, plots="none", capture_arguments=how)), task, run_dir)
            for how in ("types", "packed")
        }
        times: dict[str, list[float]] = {how: [] for how in callers}
        ids: dict[str, str] = {}
        for number in range(WARM_UP + count):
            for how in list(callers)[:: 1 if number % 2 else -1]:
                caller = callers[how]
                ids[how] = str(caller())  # the first with other settings reads them
                taken = [caller.timed_ns() / 1e3 for _ in range(BATCH)]
                if number >= WARM_UP:
                    times[how].append(median(taken))
            time.sleep(0.002)  # the agent goes idle now and then, as between real tasks
    return {**times, "ids": [ids[how] for how in callers]}


def _bytes_of(crate_dir: str, task_id: str) -> int:
    """Bytes of the files of a crate, once it is there."""
    crate, until = os.path.join(crate_dir, f"{task_id}.crate"), time.monotonic() + 120
    while not os.path.exists(crate) and time.monotonic() < until:
        time.sleep(0.05)
    return sum(os.path.getsize(os.path.join(parent, name)) for parent, _, names in os.walk(crate) for name in names)
