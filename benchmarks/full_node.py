"""A node that is full: when its agent begins to serve, how late crates come, and what that costs the neighbours."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import functions
from benchmarks.harness import (
    Bench,
    BenchmarkError,
    agent_of,
    await_crates,
    cpu_ns,
    end_agent,
    fresh,
    median,
    no_agent,
    provenance,
    quantile,
    quartiles,
)
from benchmarks.rows import Row, Target
from benchmarks.samples import count
from benchmarks.trees import THIS, Tree

WORKERS = 64
RATE_HZ = 50.0
#: Workers that run tasks while all cores are loaded, and how long each task sleeps, s.
QUICK_WORKERS, QUICK_S = 8, 0.02
#: The agent has so long to start: crates of the time before wait for it.
START_S = 5.0


def run(bench: Bench) -> list[Row]:
    """Rows for the agent's start, for crates under load, and for the cost to neighbours, of each tree by turns."""
    return [*_starts(bench), *_loaded(bench)]


# -- the start -------------------------------------------------------------------------------------------------------


def _starts(bench: Bench) -> list[Row]:
    rounds, seconds = bench.pick(3, 1), float(bench.pick(12, 6))
    workers = bench.pick(WORKERS, 8)
    answers: dict[Tree, list[dict[str, Any]]] = {tree: [] for tree in bench.trees}
    for tree in bench.turns(rounds):
        bench.say(f"{workers} busy workers and the agent's start, {tree.name}")
        crate_dir = bench.crate_dir()
        answers[tree].append(
            fresh("benchmarks.full_node:busy", tree=tree, crate_dir=crate_dir, workers=workers, seconds=seconds)
        )
    rows = []
    for tree, runs in answers.items():
        first = [moment for answer in runs for moment in answer["first_s"]]
        served = [answer["served_s"] for answer in runs]
        share = [100 * answer["taken"] / answer["expected"] for answer in runs]
        target = Target(5) if tree is THIS else None
        where = f"{workers} busy workers on {os.cpu_count()} cores, {tree.name}"
        rows += [
            Row(
                f"agent serves after its start, {where}",
                max(served),
                "s",
                target=target,
                n=rounds,
                note=f"the longest of {rounds}; from the start of the first task to the first sample of any; first "
                f"sample of a task after its start: p50 {median(first):.2f} s, largest {max(first):.2f} s; "
                f"{sum(answer['crates'] for answer in runs)} crates of {rounds * workers} tasks",
            ),
            Row(
                f"expected samples obtained once it serves, {where}",
                median(share),
                "%",
                n=rounds,
                low=min(share),
                high=max(share),
                note=f"low and high are the extremes; the agent used "
                f"{median([answer['agent_percent'] for answer in runs]):.2f} % of a core",
            ),
        ]
    return rows


def busy(crate_dir: str, workers: int, seconds: float) -> dict[str, Any]:
    """In a fresh process: workers that compute all the time, and then ask for an agent, all at once.

    Returns:
        ``served_s``: when the agent took its first sample, after the first task had begun. ``first_s``: when
        each task had its first one. ``taken`` and ``expected``: samples of all tasks from then on. ``crates``: their
        number. ``agent_percent``: what the agent used, percent of a core.
    """
    from benchmarks.tasks import Caller, body, our_helper

    helper = our_helper(provenance(crate_dir, plots="none"))
    task = body(functions.spin, seconds)
    with tempfile.TemporaryDirectory() as directory:
        begin = time.monotonic() + 2.0

        def work(number: int) -> None:
            call = Caller(helper, task, os.path.join(directory, "run"))
            while time.monotonic() < begin:  # the node is full before anybody asks for an agent
                pass
            Path(directory, f"task.{number}").write_text(str(call()))

        children = [_forked(work, number) for number in range(workers)]
        time.sleep(2.0 + seconds / 2)
        used = [cpu_ns(pid) for pid in _agent(crate_dir)]
        began = time.monotonic_ns()
        time.sleep(seconds / 3)
        percent = 100 * (sum(map(cpu_ns, _agent(crate_dir))) - sum(used)) / (time.monotonic_ns() - began)
        for child in children:
            child.join()
        tasks = [Path(directory, f"task.{number}").read_text() for number in range(workers)]
    crates = await_crates(crate_dir, workers, 60.0)
    served = []
    first_s = []
    begun = []
    taken = expected = 0
    for task_id in tasks:
        start_s, offsets = _samples(Path(crate_dir, f"{task_id}.crate"))
        if not offsets:
            continue
        first_s.append(offsets[0])
        begun.append(start_s)
        served.append(start_s + offsets[0])
        numbers = count([offset - offsets[0] for offset in offsets[1:]], offsets[-1] - offsets[0])
        taken, expected = taken + numbers["taken"], expected + numbers["expected"]
    end_agent(crate_dir)
    return {
        "served_s": min(served) - min(begun) if served else seconds,
        "first_s": first_s or [seconds],
        "taken": taken,
        "expected": max(1, expected),
        "crates": crates,
        "agent_percent": percent,
    }


def _samples(crate: Path) -> tuple[float, list[float]]:
    """When a task began, s since the epoch, and when after that each of its samples was taken."""
    with contextlib.suppress(OSError, KeyError, TypeError):
        graph = json.loads((crate / "ro-crate-metadata.json").read_text())["@graph"]
        (start_ns,) = (entity["value"] for entity in graph if entity["@id"] == "#start-ns")
        series = json.loads((crate / "data" / "resource_usage.json").read_text())["series"]["task"]
        return int(start_ns) / 1e9, [float(offset) for offset in series["offset_s"]]
    return 0.0, []


def _agent(crate_dir: str) -> tuple[int, ...]:
    """Ids of the agent's processes, if there is one by now."""
    with contextlib.suppress(BenchmarkError):
        return agent_of(crate_dir, 1.0).pids
    return ()


def _forked(work: Any, *arguments: Any) -> multiprocessing.process.BaseProcess:
    process = multiprocessing.get_context("fork").Process(target=work, args=arguments)
    process.start()
    return process


# -- crates while all cores are loaded -------------------------------------------------------------------------------


def _loaded(bench: Bench) -> list[Row]:
    rounds, seconds = bench.pick(3, 1), float(bench.pick(20, 7))
    runs: dict[str, list[dict[str, Any]]] = {}
    for number in range(rounds):
        variants = [(tree.name, tree, True) for tree in bench.trees] + [("without an agent", THIS, False)]
        for name, tree, served in reversed(variants) if number % 2 else variants:
            bench.say(f"{RATE_HZ:g} tasks a second beside computing neighbours, {name}")
            answer = fresh(
                "benchmarks.full_node:beside_neighbours",
                tree=tree,
                crate_dir=bench.crate_dir(),
                seconds=seconds,
                served=served,
            )
            runs.setdefault(name, []).append(answer)
    bare = [answer["work"] for answer in runs.pop("without an agent")]
    rows = []
    for name, answers in runs.items():
        delays = [delay for answer in answers for delay in answer["delays_s"]]
        early = [delay for answer in answers for delay in answer["early_s"]]
        work = [answer["work"] for answer in answers]
        where = f"a computing neighbour on each of {os.cpu_count()} cores, {name}"
        written, results = (sum(answer[key] for answer in answers) for key in ("crates", "results"))
        target = Target(2) if name == THIS.name else None
        late_s = quantile(early, 0.99) if early else None
        rows += [
            Row(
                f"crate on disk after the result, p99, at {RATE_HZ:g} tasks/s, {where}",
                quantile(delays, 0.99) if delays else None,
                "s",
                target=target,
                n=len(delays),
                note=(
                    f"p50 {median(delays):.3f} s, largest {max(delays):.2f} s; " if delays else "no result came later; "
                )
                + f"in the first {START_S:g} s, in which the agent starts, "
                + (f"p99 {late_s:.2f} s; " if late_s is not None else "none; ")
                + f"{written} crates of {results} results",
            ),
            Row(
                f"work of the neighbours, {where}",
                median(work),
                "/s",
                median(bare),
                n=rounds,
                **quartiles(work),
                note="thousands of turns of a loop; stock: the same tasks recorded, but no agent; the agent used "
                f"{median([answer['agent_percent'] for answer in answers]):.2f} % of a core",
            ),
        ]
    return rows


def beside_neighbours(crate_dir: str, seconds: float, served: bool) -> dict[str, Any]:
    """In a fresh process: quick tasks at a steady rate beside a process that computes on each core.

    Returns:
        ``early_s`` and ``delays_s``: from each result to its crate, in the first seconds and later. ``work``: of all
        neighbours, thousands of turns a second. ``crates``, ``results``: numbers. ``agent_percent``: as of
        :func:`busy`.
    """
    from benchmarks import crew

    turns = multiprocessing.get_context("fork").Array("d", os.cpu_count() or 1)
    held = contextlib.nullcontext() if served else no_agent(crate_dir)

    def compute(number: int) -> None:
        until = time.monotonic() + seconds + 1
        began, thousands = time.monotonic(), 0
        while time.monotonic() < until:
            for _ in range(1000):
                pass
            thousands += 1
        turns[number] = thousands / (time.monotonic() - began)

    with held, _computing(compute):
        time.sleep(1.0)
        results, percent = _steady(crew, crate_dir, seconds)
    written = await_crates(crate_dir, len(results), 120.0) if served else 0
    # a directory's change time is the moment of its last rename
    paths = [(Path(crate_dir, f"{task_id}.crate"), result_ns) for task_id, result_ns in results]
    delays = [
        (result_ns, max(0.0, (path.stat().st_ctime_ns - result_ns) / 1e9)) for path, result_ns in paths if path.is_dir()
    ]
    started_ns = min(result_ns for _, result_ns in results) + START_S * 1e9
    end_agent(crate_dir)
    return {
        "early_s": [delay for result_ns, delay in delays if result_ns < started_ns],
        "delays_s": [delay for result_ns, delay in delays if result_ns >= started_ns],
        "work": sum(turns),
        "crates": written,
        "results": len(results),
        "agent_percent": percent,
    }


def _steady(crew: Any, crate_dir: str, seconds: float) -> tuple[list[tuple[str, int]], float]:
    """Run the tasks; their results, and percent of a core that the agent used."""
    began = time.monotonic()
    results = crew.steady(
        crate_dir, workers=QUICK_WORKERS, rate_hz=RATE_HZ, seconds=seconds, task_s=QUICK_S, plots="none"
    )
    used = sum(map(cpu_ns, _agent(crate_dir)))
    return results, 100 * used / 1e9 / (time.monotonic() - began)


@contextlib.contextmanager
def _computing(compute: Any) -> Iterator[None]:
    """Have a neighbour compute for each core while the body runs."""
    neighbours = [_forked(compute, number) for number in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for neighbour in neighbours:
            neighbour.join()
