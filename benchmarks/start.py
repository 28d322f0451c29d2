"""What recording adds to a worker's start: time and memory, in pairs of fresh interpreters."""

from __future__ import annotations

import gc
import shutil
import tempfile
import time
from typing import Any

from benchmarks import functions
from benchmarks.harness import Bench, fresh, median, no_agent, quartiles, status_kb
from benchmarks.rows import Row, Target
from benchmarks.trees import BASELINE, THIS, Tree


def run(bench: Bench) -> list[Row]:
    """Rows for time and memory."""
    pairs = bench.pick(15, 2)
    crate_dir = bench.crate_dir()
    rows = []
    with no_agent(crate_dir) as runtime:
        # made beforehand: an engine sends it, its worker does not make it
        target = "benchmarks.harness:provenance"
        mappings = {tree: fresh(target, tree=tree, crate_dir=crate_dir) for tree in bench.trees}

        def recorded(tasks: int, tree: Tree = THIS) -> dict[str, float]:
            answer: dict[str, float] = fresh("benchmarks.start:ours", tree=tree, mapping=mappings[tree], tasks=tasks)
            return answer

        for tree in bench.trees:
            recorded(1, tree)  # leaves byte code behind, as an installation does
        for tasks in (1, 100):
            plain: list[dict[str, float]] = []
            ours: dict[str, list[dict[str, float]]] = {tree.name: [] for tree in bench.trees}
            for tree in bench.turns(pairs):
                if tree is THIS:
                    bench.say(f"{pairs} worker starts of each kind, {tasks} tasks")
                    plain.append(fresh("benchmarks.start:stock", tasks=tasks))
                elif tasks > 1:
                    continue
                ours[tree.name].append(recorded(tasks, tree))
            if tasks == 1:
                row = _import(plain, ours[THIS.name])
                imports = [answer["import_ms"] for answer in ours.get(BASELINE, ())]
                rows += [row, bench.against(row, median(imports) if imports else None)]
            grown = [two["memory_kb"] - base["memory_kb"] for base, two in zip(plain, ours[THIS.name], strict=True)]
            rows.append(
                Row(
                    f"added to a worker's memory, {tasks} task{'s' if tasks > 1 else ''}",
                    median(grown) / 1000,
                    "MB",
                    median([answer["memory_kb"] for answer in plain]) / 1000,
                    Target(5),
                    pairs,
                    **{key: value / 1000 for key, value in quartiles(grown).items()},
                    note="VmHWM of a process after its tasks; stock is the whole stock process",
                )
            )
        shutil.rmtree(runtime)
    return rows


def _import(plain: list[dict[str, float]], ours: list[dict[str, float]]) -> Row:
    imports, firsts = ([answer[key] for answer in ours] for key in ("import_ms", "first_ms"))
    stock_ms = median([answer["first_ms"] for answer in plain])
    added = median(imports) + max(0.0, median(firsts) - stock_ms)
    return Row(
        "added to a worker's start, import",
        median(imports),
        "ms",
        None,
        Target(6),
        len(imports),
        **quartiles(imports),
        note=f"import on top of upstream's; with what the first task takes more, {added:.1f} ms "
        f"(first task {median(firsts):.1f} ms, stock {stock_ms:.1f} ms)",
    )


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
    gc.collect()  # which would else come in the middle of the import or not, and takes longer
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
