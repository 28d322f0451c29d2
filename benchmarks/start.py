"""What recording adds to a worker's start: time and memory, in pairs of fresh interpreters."""

from __future__ import annotations

import shutil
import tempfile
import time
from typing import Any

from benchmarks import functions
from benchmarks.harness import Bench, alternate, fresh, median, no_agent, provenance, quartiles, status_kb
from benchmarks.rows import Row, Target


def run(bench: Bench) -> list[Row]:
    """Rows for time and memory."""
    pairs = bench.pick(15, 2)
    bench.say(f"{pairs} pairs of worker starts")
    crate_dir = bench.crate_dir()
    mapping = provenance(crate_dir)  # made here: an engine sends it, its worker does not make it
    rows = []
    with no_agent(crate_dir) as runtime:
        parts: list[dict[str, float]] = []

        def ours(tasks: int) -> float:
            parts.append(fresh("benchmarks.start:ours", mapping=mapping, tasks=tasks))
            return parts[-1]["memory_kb"]

        def stock(tasks: int) -> float:
            answer = fresh("benchmarks.start:stock", tasks=tasks)
            times.append(answer["first_ms"])
            return float(answer["memory_kb"])

        times: list[float] = []
        ours(1)  # leaves byte code behind, as an installation does
        for tasks in (1, 100):
            times.clear()
            parts.clear()
            plain, recorded = alternate(lambda: stock(tasks), lambda: ours(tasks), pairs)  # noqa: B023
            if tasks == 1:
                imports = [part["import_ms"] for part in parts]
                firsts = [part["first_ms"] for part in parts]
                added = median(imports) + max(0.0, median(firsts) - median(times))
                rows.append(
                    Row(
                        "added to a worker's start, import",
                        median(imports),
                        "ms",
                        None,
                        Target(15),
                        pairs,
                        **quartiles(imports),
                        note=f"import on top of upstream's; with what the first task takes more, {added:.1f} ms "
                        f"(first task {median(firsts):.1f} ms, stock {median(times):.1f} ms)",
                    )
                )
            grown = [two - base for base, two in zip(plain, recorded, strict=True)]
            rows.append(
                Row(
                    f"added to a worker's memory, {tasks} task{'s' if tasks > 1 else ''}",
                    median(grown) / 1000,
                    "MB",
                    median(plain) / 1000,
                    Target(5),
                    pairs,
                    **{key: value / 1000 for key, value in quartiles(grown).items()},
                    note="VmHWM of a process after its tasks; stock is the whole stock process",
                )
            )
        shutil.rmtree(runtime)
    return rows


def stock(tasks: int) -> dict[str, float]:
    """In a fresh process: a stock worker's memory after its tasks."""
    return _worker(None, tasks)


def ours(mapping: dict[str, Any], tasks: int) -> dict[str, float]:
    """In a fresh process: the same for a recording one, and the time of the import alone."""
    return _worker(mapping, tasks)


def _worker(mapping: dict[str, Any] | None, tasks: int) -> dict[str, float]:
    import parsl.executors.high_throughput.process_worker_pool  # noqa: F401 - what a worker has loaded
    from globus_compute_endpoint.engines import helper

    from benchmarks.tasks import Caller, body

    task = body(functions.noop)
    execute = helper.execute_task
    import_ms = 0.0
    if mapping is not None:
        begin = time.perf_counter()
        import prov_worker.globus.worker as ours

        import_ms = 1e3 * (time.perf_counter() - begin)

        def execute(*args: object, **kwargs: object) -> bytes:
            return ours.execute_task(*args, provenance=mapping, **kwargs)  # type: ignore[arg-type]

    with tempfile.TemporaryDirectory() as run_dir:
        call = Caller(execute, task, run_dir)
        first_ms = call.timed_ns() / 1e6
        for _ in range(tasks - 1):
            call()
    return {"import_ms": import_ms, "first_ms": first_ms, "memory_kb": status_kb("VmHWM")}
