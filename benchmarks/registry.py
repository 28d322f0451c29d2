"""The benchmarks by name, in the order in which they run."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from benchmarks.harness import Bench
from benchmarks.rows import Row


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One benchmark.

    Attributes:
        name: as ``--only`` takes it.
        about: what it measures, in a line.
        target: ``module:function`` below this package.
        peers: whether it measures other systems.
    """

    name: str
    about: str
    target: str
    peers: bool = False

    def run(self) -> Callable[[Bench], list[Row]]:
        """The function that measures."""
        module, _, function = self.target.partition(":")
        return getattr(importlib.import_module(f"benchmarks.{module}"), function)  # type: ignore[no-any-return]


BENCHMARKS = (
    Benchmark("noop", "time added to a no-op task, in pairs", "path:run"),
    Benchmark("length", "time added against the length of a task", "path:by_length"),
    Benchmark("workers", "time added against the number of workers", "path:by_workers"),
    Benchmark("packed", "time and bytes added by keeping the call of a task", "packed_calls:run"),
    Benchmark("engine", "engine throughput and latency, four workers", "engine:throughput"),
    Benchmark("frozen", "latency of tasks while the file system of their crates is frozen; as root", "frozen:run"),
    Benchmark("samples", "samples obtained under tasks that hold the interpreter's lock", "samples:run"),
    Benchmark("agent", "CPU and memory of the agent with 64 workers", "agent:run"),
    Benchmark("live", "CPU of the agent and of `prov-worker top` that looks at it, with 64 workers", "live:run"),
    Benchmark("crates", "crates finalised per second and core", "crates:throughput"),
    Benchmark("latency", "crate on disk after the result, at a steady rate", "crates:latency"),
    Benchmark("full", "agent's start and crates on a node that is full, and the cost to neighbours", "full_node:run"),
    Benchmark("burst", "crate on disk after the result, in a burst of no-ops", "late:burst"),
    Benchmark("sizes", "bytes and files of crates by the length of their task", "late:sizes"),
    Benchmark("start", "time and memory added to a worker's start", "start:run"),
    Benchmark("lost", "results and crates lost when workers and the agent are killed", "engine:lost"),
    Benchmark("assemble", "a run crate from many step crates", "assemble:run"),
    Benchmark("validator", "CPU time of roc-validator per crate", "validator:run"),
    # Before what leaves the endpoint with crates to write.
    Benchmark(
        "diagnose", "a diagnosis in warm round trips; at the endpoint that the environment names", "diagnose:run"
    ),
    Benchmark(
        "jobs", "a store of jobs beside the SDK's executor; at the endpoint that the environment names", "jobs:run"
    ),
    Benchmark("service", "the local service beside the engine alone; at that endpoint", "service:run"),
    Benchmark("strangers", "the local service while others on the machine press on it", "strangers:run"),
    Benchmark("packs", "packs against directories: space, inodes, rate, assemble --zip, index", "packs:run"),
    Benchmark("many", "up to 100,000 no-ops in packs: append, index, query, report", "many:run"),
    Benchmark("flows", "checks of flow definitions, and looks of a trigger at 10,000 folders", "flows:run"),
    Benchmark(
        "capture",
        "Dask, PyTorch and event files recorded, beside the library alone",
        "capture:run",
    ),
    Benchmark("stream", "what a stream costs a no-op and the node, and how soon PostgreSQL has it", "streams:run"),
    Benchmark("flowcept", "FlowCept: time added to a no-op", "peers.flowcept:run", peers=True),
    Benchmark("parsl", "Parsl's monitoring: throughput and time added", "peers.parsl:run", peers=True),
)


def names() -> list[str]:
    """Names of all benchmarks."""
    return [benchmark.name for benchmark in BENCHMARKS]


def choose(only: Iterable[str]) -> list[Benchmark]:
    """The benchmarks of some names, all of them for none.

    Raises:
        KeyError: there is none of that name.
    """
    wanted = list(only)
    for name in wanted:
        if name not in names():
            raise KeyError(f"no benchmark {name!r}")
    return [benchmark for benchmark in BENCHMARKS if not wanted or benchmark.name in wanted]
