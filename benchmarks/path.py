"""Time added to a task: pairs of stock and recorded calls in one process, with a live agent."""

from __future__ import annotations

import gc
import tempfile
import time
from typing import Any

from benchmarks import functions
from benchmarks.harness import Bench, fresh, live_agent, median, provenance, quantile, quartiles
from benchmarks.rows import Row, Target
from benchmarks.tasks import Caller, body, our_helper, stock_helper
from benchmarks.trees import BASELINE, THIS

WARM_UP = 50
LENGTHS_S = (0.0, 0.001, 0.01, 0.1, 1.0)
WORKERS = (1, 2, 4, 8, 16)


def run(bench: Bench) -> list[Row]:
    """Rows for a no-op, and the noise that the same pairing finds between stock and itself."""
    processes, count = bench.pick(5, 1), bench.pick(2000, 200)
    times: dict[str, dict[str, list[float]]] = {tree.name: {} for tree in bench.trees}
    for tree in bench.turns(processes):
        bench.say(f"pairs of no-ops, {processes} processes, {tree.name}")
        crate_dir = bench.crate_dir()
        with live_agent(crate_dir, tree):
            for key, values in fresh("benchmarks.path:pairs", tree=tree, crate_dir=crate_dir, count=count).items():
                times[tree.name].setdefault(key, []).extend(values)
    ours, earlier = times[THIS.name], times.get(BASELINE)
    null = ours["null"]
    spread = quartiles(null)
    noise = f"stock against itself, paired alike: {median(null):+.1f} µs [{spread['low']:+.1f}, {spread['high']:+.1f}]"
    half = Row(
        "added to a no-op, p50",
        median(_differences(ours)),
        "µs",
        median(ours["stock"]),
        Target(0.11, of_ratio=True),
        len(ours["stock"]),
        **quartiles(_differences(ours)),
        note=f"median of paired differences; stock is the whole stock call; {noise}",
    )
    slow = Row(
        "added to a no-op, p99",
        _added_p99(ours),
        "µs",
        quantile(ours["stock"], 0.99),
        None,
        len(ours["stock"]),
        note=f"difference of the p99 of both sides; ours {quantile(ours['ours'], 0.99):.0f} µs",
    )
    return [
        half,
        bench.against(half, median(_differences(earlier)) if earlier else None, Target(0.45, of_ratio=True)),
        slow,
        bench.against(slow, _added_p99(earlier) if earlier else None, Target(0.7, of_ratio=True)),
    ]


def _differences(times: dict[str, list[float]]) -> list[float]:
    return [two - base for base, two in zip(times["stock"], times["ours"], strict=True)]


def _added_p99(times: dict[str, list[float]]) -> float:
    return quantile(times["ours"], 0.99) - quantile(times["stock"], 0.99)


def pairs(crate_dir: str, count: int, length_s: float = 0.0, function: str = "sleep") -> dict[str, list[float]]:
    """In a fresh process: pairs of calls, µs. ``null`` are differences of two stock calls, paired alike."""
    gc.collect()
    task = body(getattr(functions, function), length_s) if length_s else body(functions.noop)
    with tempfile.TemporaryDirectory() as run_dir:
        caller = Caller(stock_helper(), task, run_dir)
        other = Caller(our_helper(provenance(crate_dir, plots="none")), task, run_dir)
        again = Caller(stock_helper(), task, run_dir)
        for _ in range(WARM_UP if not length_s else 2):
            caller()
            other()
            again()
        times: dict[str, list[float]] = {"stock": [], "ours": [], "null": []}
        for number in range(count):
            if number % 10 == 0:
                time.sleep(0.002)  # the agent goes idle now and then, as between real tasks
            stock, ours = _pair(caller, other, number % 2 == 1)
            times["stock"].append(stock)
            times["ours"].append(ours)
            if number % 4 == 0:
                stock, second = _pair(caller, again, number % 8 == 4)
                times["null"].append(second - stock)
    return times


def _pair(caller: Caller, other: Caller, swapped: bool) -> tuple[float, float]:
    """Times of one call each, µs; ``swapped`` calls the second one first."""
    if swapped:
        late = other.timed_ns() / 1e3
        return caller.timed_ns() / 1e3, late
    early = caller.timed_ns() / 1e3
    return early, other.timed_ns() / 1e3


def by_length(bench: Bench) -> list[Row]:
    """Added time against the length of the task."""
    rows = []
    for length in LENGTHS_S:
        count = int(min(bench.pick(1000, 40), max(bench.pick(8, 3), bench.pick(8, 1) / max(length, 1e-3))))
        bench.say(f"pairs of tasks of {length:g} s")
        crate_dir = bench.crate_dir()
        with live_agent(crate_dir):
            times = fresh("benchmarks.path:pairs", crate_dir=crate_dir, count=count, length_s=length)
        rows.append(_added(f"added to a task of {length:g} s", times))
    return rows


def by_workers(bench: Bench) -> list[Row]:
    """Added time against the number of workers that run no-ops at once."""
    from concurrent.futures import ThreadPoolExecutor

    rows = []
    for workers in WORKERS:
        count = max(100, bench.pick(4000, 200) // workers)
        bench.say(f"pairs of no-ops, {workers} workers at once")
        crate_dir = bench.crate_dir()
        with live_agent(crate_dir), ThreadPoolExecutor(workers) as pool:
            calls = [
                pool.submit(fresh, "benchmarks.path:pairs", crate_dir=crate_dir, count=count) for _ in range(workers)
            ]
            parts = [call.result() for call in calls]
        times: dict[str, list[float]] = {key: [x for part in parts for x in part[key]] for key in parts[0]}
        rows.append(_added(f"added to a no-op, {workers} worker{'s' if workers > 1 else ''} at once", times))
    return rows


def _added(name: str, times: dict[str, Any]) -> Row:
    added = _differences(times)
    return Row(name, median(added), "µs", median(times["stock"]), None, len(added), **quartiles(added))
