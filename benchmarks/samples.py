"""Samples obtained while a task holds the interpreter's lock: from outside, and by a thread beside the task."""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from itertools import pairwise
from typing import Any

from benchmarks import functions
from benchmarks.harness import Bench, fresh, live_agent, provenance
from benchmarks.rows import Row, Target
from benchmarks.trees import BASELINE, THIS

INTERVAL_S = 0.05
FUNCTIONS = ("cpu", "gil_sum", "gil_re", "gil_sort", "sleep_1s")


def run(bench: Bench) -> list[Row]:
    """One row per function."""
    rounds = bench.pick(5, 1)
    rows = []
    for name in FUNCTIONS:
        runs: dict[str, dict[str, list[dict[str, Any]]]] = {}
        for tree in bench.turns(1):
            bench.say(f"samples under {name}, {rounds} pairs, {tree.name}")
            crate_dir = bench.crate_dir()
            with live_agent(crate_dir, tree):
                runs[tree.name] = fresh(
                    "benchmarks.samples:pairs", tree=tree, crate_dir=crate_dir, name=name, rounds=rounds
                )
        by_mode, earlier = runs[THIS.name], runs.get(BASELINE)
        shares = [100.0 * task["taken"] / task["expected"] for task in by_mode["ours"]]
        counts = ", ".join(f"{task['taken']}/{task['expected']}" for task in by_mode["ours"])
        gap = max(task["longest_gap_s"] for task in by_mode["ours"])
        row = Row(
            f"expected samples obtained, 20 Hz, {name}",
            _share(by_mode["ours"]),
            "%",
            _share(by_mode["thread"]),
            Target(99.5, at_most=False),
            rounds,
            min(shares),
            max(shares),
            f"got/expected {counts}, longest gap {gap * 1e3:.0f} ms; low and high are the extremes; "
            "stock: a psutil thread in the worker",
        )
        rows += [row, bench.against(row, _share(earlier["ours"]) if earlier else None)]
    return rows


def _share(tasks: list[dict[str, Any]]) -> float:
    return 100.0 * sum(task["taken"] for task in tasks) / sum(task["expected"] for task in tasks)


def pairs(crate_dir: str, name: str, rounds: int) -> dict[str, list[dict[str, Any]]]:
    """In a fresh process: run a function by turns recorded and beside a sampling thread."""
    from benchmarks.tasks import Caller, body, our_helper, stock_helper

    task = body(getattr(functions, name))
    quick = body(functions.noop)
    by_mode: dict[str, list[dict[str, Any]]] = {"ours": [], "thread": []}
    with tempfile.TemporaryDirectory() as run_dir:
        settings = provenance(crate_dir, plots="none", poll_interval=INTERVAL_S)
        helper = our_helper(settings)
        Caller(helper, quick, run_dir)()
        time.sleep(0.6)  # the agent has seen the slot
        for number in range(rounds):
            for ours in (True, False) if number % 2 else (False, True):
                if ours:
                    by_mode["ours"].append(_recorded(Caller(helper, task, run_dir), crate_dir))
                else:
                    by_mode["thread"].append(_beside_a_thread(Caller(stock_helper(), task, run_dir)))
    return by_mode


def _recorded(call: Any, crate_dir: str) -> dict[str, Any]:
    begin = time.perf_counter()
    task_id = call()
    lasted = time.perf_counter() - begin
    path = os.path.join(crate_dir, f"{task_id}.crate", "data", "resource_usage.json")
    until = time.monotonic() + 20
    while not os.path.exists(path) and time.monotonic() < until:
        time.sleep(0.02)
    with open(path) as file:
        series = json.load(file)["series"]["task"]
    return count(series["offset_s"], lasted)


def _beside_a_thread(call: Any) -> dict[str, Any]:
    import psutil

    taken: list[float] = []
    stop = threading.Event()

    def sample() -> None:
        process = psutil.Process()
        while not stop.wait(INTERVAL_S):
            process.cpu_percent()
            process.memory_info()
            taken.append(time.perf_counter())

    thread = threading.Thread(target=sample)
    begin = time.perf_counter()
    thread.start()
    call()
    end = time.perf_counter()
    stop.set()
    thread.join()
    return count([moment - begin for moment in taken if moment <= end], end - begin)


def count(offsets_s: list[float], lasted_s: float) -> dict[str, Any]:
    """Samples taken, and those that were missed, counted by the gaps.

    A clock of free phase puts one tick into each interval: before the first sample and after the last one there is less
    than an interval, and between two samples one. What a gap has more was missed. Counting from the duration alone
    would be wrong by up to one sample per task, either way.
    """
    slack = 0.1  # of an interval: ticks come a little late
    edges = [offsets_s[0], lasted_s - offsets_s[-1]] if offsets_s else [lasted_s]
    inner = [two - earlier for earlier, two in pairwise(offsets_s)]
    missed = sum(max(0, int(gap / INTERVAL_S - slack)) for gap in edges)
    missed += sum(max(0, round(gap / INTERVAL_S) - 1) for gap in inner)
    taken = len(offsets_s)
    return {"taken": taken, "expected": taken + missed, "longest_gap_s": max(edges + inner)}
