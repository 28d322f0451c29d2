"""What is kept of each attempt while a report is made: a few numbers, so that a hundred thousand fit in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from prov_worker.crate.gpu_use import GpuUse
from prov_worker.run.report.training import ModelRow, TrainingRow


@dataclass(slots=True)
class Row:
    """One attempt at one task.

    Attributes:
        key, task_id, attempt, latest: as in :class:`~prov_worker.crate.summary.RunStep`.
        failed: whether the attempt failed.
        function, node, worker: positions in the lists of :class:`Gathered`.
        start_ns, end_ns: nanoseconds since the epoch; for an attempt that no worker began both are its end.
        began: whether a worker began it.
        wall_s: seconds.
        cpu_s: CPU seconds; None if unknown.
        rss_bytes: largest resident memory; None if unknown.
        cpus_allowed: logical CPUs that the worker might use; None if unknown.
        gpus: those that the worker might use, and how it used them.
        error: position in the list of errors; -1 for a completed attempt.
        signal: name of the signal that ended the worker; None without one.
        block, place: where its details are: block and position in it; -1 if it is not shown by itself.
        memory_bytes: memory that it might use: its node's, or its control group's limit if that is lower.
        job: id of its batch job; attempts of one job on one node share that memory.
        voluntary, involuntary: context switches, as it gave the CPU away and as it lost it; None if unknown.
        cpu_joules, gpu_joules: its share of the CPUs' energy, and that of its GPUs; None if it was not counted.
    """

    key: str
    task_id: str
    attempt: int
    latest: bool
    failed: bool
    function: int
    node: int
    worker: int
    start_ns: int
    end_ns: int
    began: bool
    wall_s: float
    cpu_s: float | None
    rss_bytes: int | None
    cpus_allowed: int | None
    gpus: GpuUse
    error: int
    signal: str | None
    block: int
    place: int
    memory_bytes: int | None = None
    job: str | None = None
    voluntary: int | None = None
    involuntary: int | None = None
    cpu_joules: float | None = None
    gpu_joules: float | None = None


@dataclass(slots=True)
class FunctionFacts:
    """A function of the run."""

    name: str
    id: str
    module: str | None
    doc: str | None
    sha256: str | None
    source: str | None = None


def labels(functions: Sequence[FunctionFacts]) -> list[str]:
    """Return a label for each function: its name, and, of functions with one name, what tells them apart."""
    same: dict[str, list[FunctionFacts]] = {}
    for function in functions:
        same.setdefault(function.name, []).append(function)
    modules = {name: len({each.module for each in group}) == len(group) for name, group in same.items()}

    def label(function: FunctionFacts) -> str:
        if len(same[function.name]) == 1:
            return function.name
        mark = (
            (function.module or "")
            if modules[function.name]
            else (function.sha256 or function.id.rpartition("/")[2])[:8]
        )
        return f"{function.name} ({mark})" if mark else function.name

    return [label(function) for function in functions]


class Profile:
    """A quantity of a node over time, from the samples of many tasks: bounded however many there are.

    Times are counted in bins of :attr:`width_ns`, which doubles when there are more than ``limit`` of them. Tasks that
    run side by side bring the same samples of their node: a bin's value is their mean.
    """

    def __init__(self, limit: int = 4096) -> None:
        self.width_ns = 100_000_000
        self._limit = limit
        self._bins: dict[int, tuple[float, int]] = {}

    def __bool__(self) -> bool:
        return bool(self._bins)

    @property
    def mean(self) -> float | None:
        """Mean over all bins; None without a sample."""
        return sum(total / count for total, count in self._bins.values()) / len(self._bins) if self._bins else None

    def mean_between(self, start_ns: int, end_ns: int) -> float | None:
        """Return mean over the bins that lie in a span of time, at least in part; None without a sample there."""
        first, last = start_ns // self.width_ns, end_ns // self.width_ns
        if last - first < len(self._bins):
            bins = [self._bins[at] for at in range(first, last + 1) if at in self._bins]
        else:
            bins = [value for at, value in self._bins.items() if first <= at <= last]
        return sum(total / count for total, count in bins) / len(bins) if bins else None

    def add(self, time_ns: int, value: float) -> None:
        """Add a sample."""
        at = time_ns // self.width_ns
        total, count = self._bins.get(at, (0.0, 0))
        self._bins[at] = (total + value, count + 1)
        if len(self._bins) > self._limit:
            self._double()

    def _double(self) -> None:
        self.width_ns *= 2
        merged: dict[int, tuple[float, int]] = {}
        for at, (total, count) in self._bins.items():
            before = merged.get(at // 2, (0.0, 0))
            merged[at // 2] = (before[0] + total, before[1] + count)
        self._bins = merged

    def resampled(self, start_ns: int, width_ns: float, count: int) -> list[float | None]:
        """Return means over ``count`` bins from ``start_ns``; None if nothing was sampled."""
        sums = [0.0] * count
        counts = [0] * count
        for at, (total, number) in self._bins.items():
            # The middle of the bin, which may be wider than those asked for.
            index = int((at * self.width_ns + self.width_ns / 2 - start_ns) / width_ns)
            index = min(max(index, 0), count - 1)
            sums[index] += total
            counts[index] += number
        means = [total / number if number else None for total, number in zip(sums, counts, strict=True)]
        # A bin may be narrower than the distance of samples: what lies between two known ones is not unknown.
        for index in range(1, count - 1):
            if means[index] is None and means[index - 1] is not None:
                ahead = next((value for value in means[index + 1 : index + 3] if value is not None), None)
                means[index] = means[index - 1] if ahead is not None else None
        return means


@dataclass(slots=True)
class NodeFacts:
    """A node of the run.

    Attributes:
        name: host name.
        cpus: logical CPUs; None if unknown.
        memory_bytes: memory that its tasks might use: the lowest limit of a control group, if lower than the total.
        memory_total_bytes: its memory, which ``memory`` is a part of.
        gpus: number of GPUs.
        cpu_model, gpu_model: models.
        cpu: CPUs busy on the whole node, over time.
        memory: memory in use on the whole node, in bytes.
        gpu: mean use of its GPUs, in percent.
        hardware: facts about it, by label.
    """

    name: str
    cpus: int | None = None
    memory_bytes: int | None = None
    memory_total_bytes: int | None = None
    gpus: int = 0
    cpu_model: str | None = None
    gpu_model: str | None = None
    cpu: Profile = field(default_factory=Profile)
    memory: Profile = field(default_factory=Profile)
    gpu: Profile = field(default_factory=Profile)
    hardware: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class Edge:
    """Data that flowed from one attempt to another: positions among those shown, how it is known, and what flowed."""

    source: int
    target: int
    via: str
    what: str


@dataclass(slots=True)
class Gathered:
    """All that the page is made of.

    Attributes:
        name: of the run. path: where it lies.
        rows: all attempts, sorted by start. shown: those that the page shows one by one, likewise.
        functions, nodes, workers, errors: what rows point to; a worker is its node's position and its label.
        blocks: details of the attempts that are shown, packed.
        edges: data flow, as many as are kept. flows: number of links by functions and by whether they are inferred.
        problems: what could not be read.
        totals: what all attempts used together, by the names of :data:`prov_worker.counters.COLUMNS`.
        training, models: runs that trackers know, and models that were trained; as many as are kept.
        users, endpoints, jobs, software: facts about the whole.
    """

    name: str
    path: str
    rows: list[Row] = field(default_factory=list)
    shown: list[Row] = field(default_factory=list)
    functions: list[FunctionFacts] = field(default_factory=list)
    nodes: list[NodeFacts] = field(default_factory=list)
    workers: list[tuple[int, str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    edges_left_out: int = 0
    flows: dict[tuple[int, int, bool], int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    users: dict[str, None] = field(default_factory=dict)
    endpoints: dict[str, None] = field(default_factory=dict)
    jobs: dict[str, None] = field(default_factory=dict)
    software: dict[str, None] = field(default_factory=dict)
    totals: dict[str, float] = field(default_factory=dict)
    training: list[TrainingRow] = field(default_factory=list)
    models: list[ModelRow] = field(default_factory=list)
