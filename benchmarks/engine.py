"""Whole engines: tasks a second, latency, and what is lost when workers and the agent are killed."""

from __future__ import annotations

import os
import signal
import time
import uuid
from concurrent.futures import wait
from typing import Any

from benchmarks import functions
from benchmarks.harness import Bench, agent_of, await_crates, end_agent, fresh, median, quartiles
from benchmarks.rows import Row, Target
from benchmarks.trees import BASELINE, THIS

WORKERS = 4
STOCK, OURS = "GlobusComputeEngine", "ProvenanceEngine"
KILLED_WORKERS = 8


def throughput(bench: Bench) -> list[Row]:
    """Tasks a second and latency with four workers: stock, this tree and the earlier one, by turns."""
    rounds, count, size = bench.pick(6, 1), bench.pick(5, 1), bench.pick(2000, 200)
    variants = [(STOCK, STOCK, THIS), *((tree.name, OURS, tree) for tree in bench.trees)]
    answers: dict[str, list[dict[str, Any]]] = {name: [] for name, _, _ in variants}
    for number in range(rounds):
        for name, engine, tree in reversed(variants) if number % 2 else variants:
            bench.say(f"bursts of {size}, process {number + 1} of {rounds}, {name}")
            crate_dir = bench.crate_dir()
            answer = fresh(
                "benchmarks.engine:bursts", tree=tree, engine=engine, crate_dir=crate_dir, count=count, size=size
            )
            if engine == OURS:
                answer["crates"] = await_crates(crate_dir, (count + 1) * size + 100, 60.0)
                end_agent(crate_dir)
            answers[name].append(answer)
    rates = {name: [rate for answer in runs for rate in answer["rates"]] for name, runs in answers.items()}
    waits = {name: [ms for answer in runs for ms in answer["latency_ms"]] for name, runs in answers.items()}
    failed = sum(answer["failed"] for runs in answers.values() for answer in runs)
    written = sum(answer["crates"] for answer in answers[THIS.name])
    expected = rounds * ((count + 1) * size + 100)
    spread = quartiles(rates[STOCK])
    row = Row(
        f"engine throughput, {WORKERS} workers, no-ops",
        median(rates[THIS.name]),
        "tasks/s",
        median(rates[STOCK]),
        Target(0.98, at_most=False, of_ratio=True),
        len(rates[THIS.name]),
        **quartiles(rates[THIS.name]),
        note=f"bursts of {size}, {rounds} fresh processes each; stock itself spreads over "
        f"[{spread['low']:.0f}, {spread['high']:.0f}]; {failed} failed; {written} crates of {expected} tasks, "
        "which wait for a burst's end",
    )
    return [
        row,
        bench.against(row, median(rates[BASELINE]) if BASELINE in rates else None),
        Row(
            "engine latency, one task in flight",
            median(waits[THIS.name]),
            "ms",
            median(waits[STOCK]),
            None,
            len(waits[THIS.name]),
            **quartiles(waits[THIS.name]),
            note="from submit to result, no-ops",
        ),
    ]


def bursts(engine: str, crate_dir: str, count: int, size: int) -> dict[str, Any]:
    """In a fresh process: rates of bursts of prepared tasks, and latencies of single ones."""
    from benchmarks.tasks import buffer
    from prov_worker.globus.embedded import EmbeddedEndpoint

    settings = {"crate_dir": crate_dir, "plots": "none"} if engine == OURS else None
    task = buffer(functions.noop)
    rates, latency_ms, failed = [], [], 0
    with EmbeddedEndpoint(
        engine=engine, workers=WORKERS, provenance=settings, engine_options={"encrypted": True}
    ) as endpoint:
        for number in range(count + 1):
            ids = [uuid.uuid4() for _ in range(size)]
            begin = time.perf_counter()
            futures = [endpoint.submit_buffer(task_id, task) for task_id in ids]
            wait(futures)
            took = time.perf_counter() - begin
            failed += sum(future.exception() is not None for future in futures)
            if number:  # the first burst waits for workers to come up
                rates.append(size / took)
        for _ in range(100):
            begin = time.perf_counter()
            endpoint.submit_buffer(uuid.uuid4(), task).result()
            latency_ms.append(1e3 * (time.perf_counter() - begin))
    return {"rates": rates, "latency_ms": latency_ms, "failed": failed}


def lost(bench: Bench) -> list[Row]:
    """Results and crates lost in a run in which workers and the agent are killed."""
    count = bench.pick(2000, 200)
    bench.say(f"{count} tasks, {KILLED_WORKERS} workers and the agent killed")
    crate_dir = bench.crate_dir()
    ours = fresh("benchmarks.engine:with_kills", engine=OURS, crate_dir=crate_dir, count=count)
    await_crates(crate_dir, len(ours["ids"]), 60.0)
    missing = [task_id for task_id in ours["ids"] if not os.path.isdir(os.path.join(crate_dir, f"{task_id}.crate"))]
    end_agent(crate_dir)
    bench.say(f"{count} tasks, {KILLED_WORKERS} workers killed, stock engine")
    stock = fresh("benchmarks.engine:with_kills", engine=STOCK, crate_dir=crate_dir, count=count)
    how = (
        f"{count} tasks, {WORKERS} workers, of which tasks killed {KILLED_WORKERS}; the agent was killed once; "
        "every single fault: tests/faults"
    )
    return [
        Row("results lost", float(ours["lost"]), "tasks", stock["lost"], Target(0), count, note=how),
        Row("crates lost", float(len(missing)), "tasks", None, Target(0), len(ours["ids"]), note=how),
    ]


def with_kills(engine: str, crate_dir: str, count: int) -> dict[str, Any]:
    """In a fresh process: run tasks, some of which kill their worker; count results that are not as they should be."""
    from prov_worker.globus.embedded import EmbeddedEndpoint

    settings = {"crate_dir": crate_dir, "plots": "none"} if engine == OURS else None
    every = count // KILLED_WORKERS
    with EmbeddedEndpoint(engine=engine, workers=WORKERS, provenance=settings, heartbeat_period_s=1) as endpoint:
        futures: list[tuple[bool, Any]] = []
        for number in range(count):
            kills = number % every == every // 2
            futures.append((kills, endpoint.submit(functions.die if kills else functions.noop)))
            if number == count // 2 and engine == OURS:
                wait([future for _, future in futures[: count // 4]], 60)
                os.kill(agent_of(crate_dir).sampler, signal.SIGKILL)
        wait([future for _, future in futures], 120)
        wrong = sum(not future.done() or (future.exception() is not None) != kills for kills, future in futures)
        if engine == OURS and not wrong:
            endpoint.submit(functions.sleep, 6.0).result(60)  # a worker looks for the agent every five seconds
            endpoint.submit(functions.noop).result(60)
    return {"lost": wrong, "ids": [str(future.task_id) for _, future in futures]}
