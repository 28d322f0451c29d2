"""How late crates are in a burst of quick tasks, and how large they are: what docs/operations.md says of both."""

from __future__ import annotations

import os
import time
from concurrent.futures import Future, wait
from typing import Any

from benchmarks import functions
from benchmarks.harness import Bench, await_crates, end_agent, fresh, median, quantile
from benchmarks.rows import Row

WORKERS = 2


def burst(bench: Bench) -> list[Row]:
    """Time from a result to its crate while no-ops follow one another as quickly as they can."""
    count = bench.pick(20_000, 500)
    bench.say(f"a burst of {count} no-ops")
    crate_dir = bench.crate_dir()
    run = fresh("benchmarks.late:no_ops", crate_dir=crate_dir, count=count)
    written = await_crates(crate_dir, count, 300.0)
    delays, last_ns = [], 0
    for task_id, result_ns in run["results"]:
        path = os.path.join(crate_dir, f"{task_id}.crate")
        if os.path.isdir(path):
            # a directory's change time is the moment of its last rename
            changed_ns = os.stat(path).st_ctime_ns
            last_ns = max(last_ns, changed_ns)
            delays.append(max(0.0, (changed_ns - result_ns) / 1e9))
    end_agent(crate_dir)
    behind_s = max(0.0, (last_ns - max(result_ns for _, result_ns in run["results"])) / 1e9)
    note = (
        f"p50 {median(delays):.1f} s, largest {max(delays):.1f} s; {written} crates of {count} results, "
        f"{run['rate']:.0f} tasks/s, {WORKERS} workers"
    )
    return [
        Row("crate on disk after the result, p99, burst of no-ops", quantile(delays, 0.99), "s", n=count, note=note),
        Row(f"last crate after the last result, burst of {count:,} no-ops", behind_s, "s", n=count),
        Row(f"engine's throughput in a burst of {count:,} no-ops", run["rate"], "/s", n=count),
    ]


def no_ops(crate_dir: str, count: int) -> dict[str, Any]:
    """In a fresh process: run no-ops, and note when each result came."""
    from prov_worker.globus.embedded import EmbeddedEndpoint

    results: list[tuple[str, int]] = []

    def note(future: Future[Any]) -> None:
        results.append((str(future.task_id), time.time_ns()))  # type: ignore[attr-defined]

    settings = {"crate_dir": crate_dir, "plots": "none"}
    with EmbeddedEndpoint(workers=WORKERS, provenance=settings) as endpoint:
        endpoint.submit(functions.noop).result(120)  # the first waits for workers to come up
        begin = time.perf_counter()
        futures = [endpoint.submit(functions.noop) for _ in range(count)]
        for future in futures:
            future.add_done_callback(note)
        wait(futures)
        took = time.perf_counter() - begin
    return {"results": results, "rate": count / took}


def sizes(bench: Bench) -> list[Row]:
    """Bytes and files of crates by the length of their task, with the default settings but for plots."""
    lengths = [0.0, 1.0, 10.0, 60.0, 600.0] if not bench.quick else [0.0, 1.0]
    rows = []
    for plots in ("none", "png"):
        bench.say(f"tasks of {lengths[-1]:g} s and less, plots: {plots}")
        crate_dir = bench.crate_dir()
        ids = fresh("benchmarks.late:of_lengths", crate_dir=crate_dir, lengths=lengths, plots=plots)
        await_crates(crate_dir, len(lengths), 120.0)
        end_agent(crate_dir)
        for length, task_id in zip(lengths, ids, strict=True):
            files = [
                os.path.join(parent, name)
                for parent, _, names in os.walk(os.path.join(crate_dir, f"{task_id}.crate"))
                for name in names
            ]
            total = sum(os.path.getsize(path) for path in files)
            name = f"crate of a task of {length:g} s, plots: {plots}"
            note = f"{len(files)} files; {os.cpu_count()} logical CPUs, each a column of the node's series"
            if plots == "png" and length >= 1 and not any(path.endswith(".png") for path in files):
                # a busy machine: the crate does not wait for a plot that takes too long
                note += "; it came without its plot, so this is no size of a crate with one"
            rows.append(Row(name, total / 1000, "kB", n=1, note=note))
    return rows


def of_lengths(crate_dir: str, lengths: list[float], plots: str) -> list[str]:
    """In a fresh process: run tasks of these lengths at once, each half of its time busy."""
    from prov_worker.globus.embedded import EmbeddedEndpoint

    settings = {"crate_dir": crate_dir, "plots": plots}
    with EmbeddedEndpoint(workers=len(lengths), provenance=settings) as endpoint:
        futures = [endpoint.submit(functions.half_busy, length) for length in lengths]
        wait(futures)
        return [str(future.task_id) for future in futures]
