"""What the agent costs its node: CPU and memory with many live workers, beside the same readings taken by psutil."""

from __future__ import annotations

import contextlib
import os
import time

from benchmarks.harness import (
    Agent,
    Bench,
    BenchmarkError,
    agent_of,
    beside,
    cpu_ns,
    crates_in,
    end_agent,
    fresh,
    median,
    memory_bytes,
    quartiles,
)
from benchmarks.rows import Row, Target
from benchmarks.trees import BASELINE, THIS

WORKERS = 64
INTERVAL_S = 0.05
RATE_HZ = 64.0
#: 0.6 % of a core, for 0.68 % at the earlier commit: what a core is worth differs between machines.
SHARE = Target(0.88, of_ratio=True)


def run(bench: Bench) -> list[Row]:
    """Rows for the agent under long tasks, and under tasks that come and go."""
    return [*_long_tasks(bench), *_short_tasks(bench)]


def _long_tasks(bench: Bench) -> list[Row]:
    """Both trees' agents live at once, each with its own workers, and are looked at by turns."""
    rounds, window = bench.pick(5, 1), float(bench.pick(10, 2))
    shares: dict[str, list[list[float]]] = {tree.name: [] for tree in bench.trees}
    by_psutil: list[float] = []
    sizes: list[dict[str, int]] = []
    directories = {tree: bench.crate_dir() for tree in bench.trees}
    held = rounds * (len(directories) + 1) * (window + 2) + 20
    crew = {"workers": WORKERS, "seconds": held, "plots": "none"}
    try:
        with contextlib.ExitStack() as stack:
            for tree, crate_dir in directories.items():
                stack.enter_context(beside("benchmarks.crew:sleepers", tree=tree, crate_dir=crate_dir, **crew))
            agents = {tree: await_workers(crate_dir) for tree, crate_dir in directories.items()}
            time.sleep(3.0)
            for tree in bench.turns(rounds):
                bench.say(f"agent with {WORKERS} running tasks, {rounds} windows, {tree.name}")
                shares[tree.name].append(used_percent(agents[tree], window))
                if tree is THIS:
                    sizes.append(_memory(agents[tree]))
                    bench.say(f"psutil on {WORKERS} processes, {rounds} windows")
                    pids = _workers(agents[tree])
                    by_psutil.append(fresh("benchmarks.agent:psutil_share", pids=pids, seconds=window))
    finally:
        for crate_dir in directories.values():
            end_agent(crate_dir)
    largest = max(sizes, key=lambda size: size["rss"])
    ours = [sum(used) for used in shares[THIS.name]]
    parts = ", ".join(f"{median(used):.2f} %" for used in zip(*shares[THIS.name], strict=True))
    row = Row(
        f"agent, {WORKERS} workers with a running task, 20 Hz: CPU",
        median(ours),
        "% of a core",
        median(by_psutil),
        Target(0.6),
        rounds,
        **quartiles(ours),
        note=f"its processes: {parts}; stock: CPU times and memory of as many processes by psutil, without any record",
    )
    return [
        row,
        bench.against(row, median([sum(used) for used in shares[BASELINE]]) if BASELINE in shares else None, SHARE),
        Row(
            f"agent, {WORKERS} workers with a running task: memory",
            largest["rss"] / 1e6,
            "MB",
            None,
            Target(60),
            rounds,
            note=f"resident memory of its processes, what they share counted twice; "
            f"proportional (PSS) {largest['pss'] / 1e6:.1f} MB; at {held:.0f} s of samples",
        ),
    ]


def _short_tasks(bench: Bench) -> list[Row]:
    seconds = float(bench.pick(20, 3))
    bench.say(f"agent with {WORKERS} workers that run {RATE_HZ:g} tasks a second")
    crate_dir = bench.crate_dir()
    crew = {"crate_dir": crate_dir, "workers": WORKERS, "rate_hz": RATE_HZ, "task_s": 0.5, "plots": "none"}
    try:
        with beside("benchmarks.crew:steady", seconds=seconds + 20, **crew):
            agent = await_workers(crate_dir)
            time.sleep(2.0)
            crates, began = crates_in(crate_dir), time.monotonic()
            used = used_percent(agent, seconds)
            done, size = (crates_in(crate_dir) - crates) / (time.monotonic() - began), _memory(agent)
    finally:
        end_agent(crate_dir)
    parts = ", ".join(f"{share:.2f} %" for share in used)
    return [
        Row(
            f"agent, {WORKERS} workers, {RATE_HZ:g} tasks of 0.5 s a second: CPU",
            sum(used),
            "% of a core",
            None,
            None,
            1,
            note=f"its processes: {parts}; {done:.1f} crates a second of 10 samples; "
            f"{size['rss'] / 1e6:.1f} MB resident",
        )
    ]


def _memory(agent: Agent) -> dict[str, int]:
    sizes = [memory_bytes(pid) for pid in agent.pids]
    return {key: sum(size[key] for size in sizes) for key in sizes[0]}


def _workers(agent: Agent) -> list[int]:
    return [int(name.split(".")[1]) for name in os.listdir(agent.runtime) if name.startswith("slot.")]


def await_workers(crate_dir: str) -> Agent:
    """The agent, once all workers have their slots."""
    agent = agent_of(crate_dir, 60.0)
    until = time.monotonic() + 60
    while len(_workers(agent)) < WORKERS:
        if time.monotonic() > until:
            raise BenchmarkError(f"{len(_workers(agent))} of {WORKERS} workers came")
        time.sleep(0.05)
    return agent


def used_percent(agent: Agent, seconds: float) -> list[float]:
    """Percent of a core that each of the agent's processes uses during so many seconds."""
    before, began = [cpu_ns(pid) for pid in agent.pids], time.monotonic_ns()
    time.sleep(seconds)
    lasted = time.monotonic_ns() - began
    return [100 * (cpu_ns(pid) - old) / lasted for pid, old in zip(agent.pids, before, strict=True)]


def psutil_share(pids: list[int], seconds: float) -> float:
    """In a fresh process: percent of a core that reading processes and node by psutil at the same rate takes."""
    import psutil

    processes = [psutil.Process(pid) for pid in pids]
    psutil.cpu_percent(percpu=True)
    begin, used = time.monotonic(), time.process_time()
    deadline = begin
    while deadline < begin + seconds:
        psutil.cpu_percent(percpu=True)
        psutil.virtual_memory()
        for process in processes:
            process.cpu_times()
            process.memory_info()
        deadline += INTERVAL_S
        time.sleep(max(0.0, deadline - time.monotonic()))
    return 100 * (time.process_time() - used) / (time.monotonic() - begin)
