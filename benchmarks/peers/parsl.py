"""Parsl's monitoring: throughput of no-ops without it, with it, and with its resource messages each second."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from typing import Any

from benchmarks.harness import Bench, fresh, median, quartiles
from benchmarks.peers import environment_of
from benchmarks.rows import Row

VERSION = "2026.10.26"
REQUIREMENTS = (f"parsl[monitoring]=={VERSION}",)
WORKERS = 4
MODES = {
    "none": "without monitoring",
    "off": "monitoring, resource messages off",
    "1s": "monitoring, resource interval 1 s",
}


def run(bench: Bench) -> list[Row]:
    """Rows of the two modes beside Parsl without monitoring, rounds by turns."""
    python = environment_of(bench, f"parsl-{VERSION}", REQUIREMENTS)
    rounds, tasks = bench.pick(5, 1), bench.pick(1000, 100)
    answers: dict[str, list[dict[str, Any]]] = {mode: [] for mode in MODES}
    for number in range(rounds):
        order = list(MODES) if number % 2 == 0 else list(reversed(MODES))
        for mode in order:
            bench.say(f"Parsl, {MODES[mode]}, round {number + 1} of {rounds}")
            answers[mode].append(fresh("benchmarks.peers.parsl:rate", python=python, mode=mode, tasks=tasks))
    plain = median([answer["rate"] for answer in answers["none"]])
    rows = []
    for mode in ("off", "1s"):
        rates = [answer["rate"] for answer in answers[mode]]
        added_ms = 1e3 * WORKERS * (1 / median(rates) - 1 / plain)
        note = (
            f"stock: Parsl without monitoring, same run; {added_ms:.2f} ms of worker time a task more; one in flight "
            f"{median([answer['latency_ms'] for answer in answers[mode]]):.1f} ms, without "
            f"{median([answer['latency_ms'] for answer in answers['none']]):.1f} ms"
        )
        rows.append(
            Row(
                f"Parsl {VERSION}, {MODES[mode]}: throughput, {WORKERS} workers",
                median(rates),
                "tasks/s",
                plain,
                None,
                rounds,
                **quartiles(rates),
                note=note,
            )
        )
    return rows


def rate(mode: str, tasks: int) -> dict[str, float]:
    """In a fresh process of Parsl's environment: tasks a second, and latency of single ones."""
    import parsl
    from parsl import HighThroughputExecutor, python_app
    from parsl.config import Config
    from parsl.monitoring import MonitoringHub
    from parsl.providers import LocalProvider

    # the interchange and the pool are started by name
    os.environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
    directory = tempfile.mkdtemp(prefix="parsl-bench-")
    os.chdir(directory)
    monitoring = None
    if mode != "none":
        monitoring = MonitoringHub(
            resource_monitoring_enabled=mode != "off",
            resource_monitoring_interval=1.0,
            logging_endpoint=f"sqlite:///{directory}/monitoring.db",
        )
    executor = HighThroughputExecutor(
        label="htex",
        address="127.0.0.1",
        max_workers_per_node=WORKERS,
        provider=LocalProvider(init_blocks=1, max_blocks=1),
    )
    config = Config(executors=[executor], monitoring=monitoring, run_dir=f"{directory}/run", strategy="none")
    with parsl.load(config):
        noop = python_app(_noop)
        for future in [noop() for _ in range(4 * WORKERS)]:
            future.result()
        begin = time.perf_counter()
        for future in [noop() for _ in range(tasks)]:
            future.result()
        took = time.perf_counter() - begin
        waits = []
        for _ in range(20):
            single = time.perf_counter()
            noop().result()
            waits.append(1e3 * (time.perf_counter() - single))
    return {"rate": tasks / took, "latency_ms": median(waits)}


def _noop() -> None:
    return None
