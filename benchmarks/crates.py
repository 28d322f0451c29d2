"""How fast records become crates, and how soon after its result a task has one."""

from __future__ import annotations

import os
import random
import shutil
import time
from typing import Any

from benchmarks import functions
from benchmarks.harness import (
    Bench,
    await_crates,
    crates_in,
    end_agent,
    fresh,
    median,
    no_agent,
    provenance,
    quantile,
    quartiles,
)
from benchmarks.rows import Row, Target

SAMPLES = 20
RATE_HZ = 50.0


def throughput(bench: Bench) -> list[Row]:
    """Crates a second of processor time, from journals that real workers wrote."""
    count, rounds = bench.pick(4000, 200), bench.pick(5, 1)
    rows = []
    for samples in (0, SAMPLES):
        for place, memory in (("local disk", False), ("memory", True)):
            per_core: list[float] = []
            per_second: list[float] = []
            for number in range(rounds):
                sampling = f"{samples} samples each, " if samples else ""
                bench.say(f"finalising {count} records, {sampling}{place}, round {number + 1} of {rounds}")
                crate_dir = bench.crate_dir(memory)
                with no_agent(crate_dir) as runtime:
                    fresh("benchmarks.crates:record", crate_dir=crate_dir, count=count)
                    answer = fresh("benchmarks.crates:finalise", crate_dir=crate_dir, runtime=runtime, samples=samples)
                assert answer["crates"] == count, f"{answer['crates']} of {count} crates"
                per_core.append(count / answer["cpu_s"])
                per_second.append(count / answer["wall_s"])
                shutil.rmtree(crate_dir)
                shutil.rmtree(runtime)
            name = f"crates finalised per second and core, {place}"
            rows.append(
                Row(
                    f"{name}, {samples} samples each" if samples else name,
                    median(per_core),
                    "/s",
                    None,
                    None if samples else Target(1000, at_most=False),
                    rounds * count,
                    **quartiles(per_core),
                    note=f"per second of processor time; {median(per_second):.0f} per second of wall time; no plot",
                )
            )
    return rows


def record(crate_dir: str, count: int, **settings: Any) -> None:
    """In a fresh process: run no-ops through the real helper; their records stay in the journal."""
    import tempfile

    from benchmarks.tasks import Caller, body, our_helper

    with tempfile.TemporaryDirectory() as run_dir:
        call = Caller(our_helper(provenance(crate_dir, plots="none", **settings)), body(functions.noop), run_dir)
        for _ in range(count):
            call()


def finalise(crate_dir: str, runtime: str, samples: int) -> dict[str, float]:
    """In a fresh process: write the crates of a dead worker's journal with the agent's own finaliser."""
    from prov_worker.agent.finaliser import Finaliser
    from prov_worker.agent.orphaned_journals import UNKNOWN
    from prov_worker.agent.publisher import Publisher
    from prov_worker.agent.tick import Tick

    publisher = Publisher(crate_dir)
    finaliser = Finaliser(runtime, publisher)
    journal = drained(crate_dir, runtime)
    if samples:
        finaliser.take(Tick(series=_series_of(journal, samples)))
    _warm_up(publisher, journal, crate_dir)
    begin, used = time.perf_counter(), time.process_time()
    finaliser.adopt(journal, UNKNOWN)
    finaliser.finish()
    while finaliser.outstanding:
        finaliser.work(time.monotonic() + 1.0)
    took = {"wall_s": time.perf_counter() - begin, "cpu_s": time.process_time() - used}
    finaliser.close()
    return {**took, "crates": float(crates_in(crate_dir))}


def drained(crate_dir: str, runtime: str) -> str:
    """Return the journal of the only worker, with all that was in its ring."""
    from prov_worker.agent.drains import Drains
    from prov_worker.agent.orphaned_journals import journals

    drains = Drains([runtime])
    drains.drain_all()
    drains.close()
    ((journal, _),) = journals(crate_dir, [runtime])
    return journal


def _ended(journal: str) -> list[Any]:
    from prov_worker.agent.journal_follower import Follower

    return list(Follower(journal, None, "benchmark").read_all())


def _warm_up(publisher: Any, journal: str, crate_dir: str) -> None:
    """Take the node's hardware report, which an agent takes once in its life, before the clock runs."""
    first = _ended(journal)[0]
    publisher.complete(first, None)
    shutil.rmtree(publisher.publish(first, None, None))


def _series_of(journal: str, samples: int) -> list[Any]:
    """A series for each record, as the sampler makes them: task columns and node columns of this machine."""
    from prov_worker.agent.buffers import Buffer, Quantity
    from prov_worker.agent.worker_monitor import TASK_QUANTITIES
    from prov_worker.model import TaskSeries

    node = [Quantity("cpu_percent", "percent", "node"), Quantity("memory_used_bytes", "byte", "node")]
    node += [Quantity(f"cpu{n}_percent", "percent", f"cpu:{n}") for n in range(os.cpu_count() or 1)]
    interval_ns = 50_000_000
    generator = random.Random(1)
    made = []
    for ended in _ended(journal):
        series = []
        for quantities in (TASK_QUANTITIES, node):
            rows = Buffer(quantities)
            for number in range(1, samples + 1):
                rows.add(number * interval_ns, [generator.random() * 1e4 for _ in quantities])
            series.append(rows.series(0, samples * interval_ns, 0.05))
        made.append((ended.record.attempt_id, TaskSeries(task=series[0], node=series[1])))
    return made


def latency(bench: Bench) -> list[Row]:
    """Time from a result to its crate at a steady rate, without and with plots."""
    seconds = float(bench.pick(30, 4))
    variants = (
        ("no plot", {"plots": "none"}, 8, 0.02, Target(0.25)),
        ("plot", {"plots": "png"}, 60, 1.05, Target(1.0)),
        ("SVG plot", {"plots": "svg"}, 60, 1.05, None),
    )
    rows = []
    for name, settings, workers, task_s, target in variants:
        bench.say(f"crates at {RATE_HZ:g} tasks a second, {name}")
        crate_dir = bench.crate_dir()
        results = fresh(
            "benchmarks.crew:steady",
            crate_dir=crate_dir,
            workers=workers,
            rate_hz=RATE_HZ,
            seconds=seconds,
            task_s=task_s,
            **settings,
        )
        written = await_crates(crate_dir, len(results), 60.0)
        delays = []
        plotted = 0
        for task_id, result_ns in results:
            path = os.path.join(crate_dir, f"{task_id}.crate")
            if os.path.isdir(path):
                # a directory's change time is the moment of its last rename
                delays.append(max(0.0, (os.stat(path).st_ctime_ns - result_ns) / 1e9))
                plotted += os.path.isdir(os.path.join(path, "images"))
        end_agent(crate_dir)
        steady = delays[int(RATE_HZ) :] if len(delays) > 4 * RATE_HZ else delays
        plots = f"; {plotted} of {len(results)} with a plot" if settings["plots"] != "none" else ""
        rows.append(
            Row(
                f"crate on disk after the result, p99, at {RATE_HZ:g} tasks/s, {name}",
                quantile(steady, 0.99),
                "s",
                None,
                target,
                len(steady),
                note=f"p50 {quantile(steady, 0.5):.3f} s, largest {max(delays):.3f} s; {written} crates of "
                f"{len(results)} results{plots}; {workers} workers, tasks of {task_s:g} s",
            )
        )
    return rows
