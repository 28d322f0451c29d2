"""The figures of a report, and how each is computed: every formula is one function and one line of text.

A *task* is a Globus Compute task; an *attempt* is one execution of it. ``wall`` is the time from an attempt's start to
its end. Figures of time count every attempt, failed ones too: they held their workers.
"""

from __future__ import annotations

import itertools
import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from prov_worker.run.report.model import FunctionFacts, Gathered, Row

#: Where attempts share something: a node, or a batch job on a node.
Place = TypeVar("Place", bound=Hashable)
_Key = Callable[[Row], int]
_Weight = Callable[[Row], float]
#: What differs between errors that are alike: addresses, ids, numbers.
_VARYING = re.compile(r"0x[0-9a-fA-F]+|\b[0-9a-fA-F]{8}[0-9a-fA-F-]*\b|\d+")


@dataclass(slots=True)
class Summary:
    """The run in figures. Hours are 3,600 s; ratios are 0 to 1 and None if there is nothing to divide by.

    Attributes:
        tasks, attempts: counted by task id, and all.
        failed_tasks: tasks whose latest attempt failed. failed_attempts: all that failed.
        recovered_tasks: tasks that failed at least once and whose latest attempt completed.
        start_ns, end_ns: first start and last end.
        makespan_s: last end minus first start.
        wall_s: sum of wall.
        concurrency: ``wall_s / makespan_s``: attempts that ran side by side, on average.
        core_hours: sum over nodes of logical CPUs x (last end - first start on the node).
        cpu_hours: sum of the attempts' CPU time; ``cpu_known`` of them had one.
        cpu_efficiency: ``cpu_hours / core_hours``.
        gpu_hours: sum of wall x GPUs that the attempt held.
        gpu_sampled_hours: the same of the attempts whose use of GPUs is known.
        gpu_busy_hours: sum of wall x mean number of those that were busy, of these attempts.
        gpu_efficiency: ``gpu_busy_hours / gpu_sampled_hours``.
        occupancy: sum of wall / sum over workers of (last end - first start on the worker).
        failed_hours: worker hours of failed attempts.
    """

    tasks: int = 0
    attempts: int = 0
    failed_tasks: int = 0
    failed_attempts: int = 0
    recovered_tasks: int = 0
    nodes: int = 0
    workers: int = 0
    functions: int = 0
    start_ns: int = 0
    end_ns: int = 0
    makespan_s: float = 0.0
    wall_s: float = 0.0
    concurrency: float | None = None
    core_hours: float = 0.0
    cpu_hours: float = 0.0
    cpu_known: int = 0
    cpu_efficiency: float | None = None
    gpu_hours: float = 0.0
    gpu_sampled_hours: float = 0.0
    gpu_busy_hours: float = 0.0
    gpu_efficiency: float | None = None
    occupancy: float | None = None
    failed_hours: float = 0.0


@dataclass(slots=True)
class FunctionFigures:
    """One function in figures, over its attempts.

    Attributes:
        index: position in :attr:`Gathered.functions`.
        cpus_used: median of CPU time / wall; None if unknown.
        cpus_allowed: median of logical CPUs allowed.
        gpus_held: median number of GPUs that an attempt might use.
        gpus_used: median number that it used; None if that is not known of any attempt.
        gpu_busy: mean number of GPUs that were busy; None if that is not known of any attempt.
        together: most attempts of any function that ran at once on a node where this one ran.
        in_job: the same of each node and batch job: those attempts share one control group's memory.
        rss_max, rss_median: bytes.
        cpu_joules, gpu_joules: sums over the attempts of which it was counted; None if that is none.
    """

    index: int
    facts: FunctionFacts
    attempts: int = 0
    tasks: int = 0
    failed: int = 0
    wall_sum_s: float = 0.0
    wall_median_s: float = 0.0
    wall_p95_s: float = 0.0
    wall_max_s: float = 0.0
    cpu_sum_s: float = 0.0
    cpus_used: float | None = None
    cpus_allowed: float | None = None
    rss_median: float | None = None
    rss_max: int | None = None
    gpus_held: float = 0.0
    gpus_used: float | None = None
    gpu_busy: float | None = None
    gpu_hours: float = 0.0
    cpu_joules: float | None = None
    gpu_joules: float | None = None
    together: int = 1
    in_job: Mapping[tuple[int, str | None], int] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)


@dataclass(slots=True)
class FailureGroup:
    """Attempts that failed alike: the same function, the same error but for numbers and ids in it.

    Attributes:
        function: position of the function.
        error: the error of most of them.
        kinds: number of different errors.
        rows: the attempts, by task and attempt.
    """

    function: int
    error: str
    kinds: int
    rows: list[Row]

    @property
    def lasting(self) -> int:
        """Number of tasks that no later attempt completed."""
        return sum(1 for row in self.rows if row.latest)


def summarise(data: Gathered) -> Summary:
    """See :class:`Summary`."""
    rows = data.rows
    summary = Summary(attempts=len(rows), nodes=len(data.nodes), workers=len(data.workers))
    summary.functions = len(data.functions)
    if not rows:
        return summary
    failed_once = {row.task_id for row in rows if row.failed}
    latest = [row for row in rows if row.latest]
    summary.tasks = len(latest)
    summary.failed_tasks = sum(1 for row in latest if row.failed)
    summary.failed_attempts = sum(1 for row in rows if row.failed)
    summary.recovered_tasks = sum(1 for row in latest if not row.failed and row.task_id in failed_once)
    summary.start_ns = min(row.start_ns for row in rows)
    summary.end_ns = max(row.end_ns for row in rows)
    summary.makespan_s = (summary.end_ns - summary.start_ns) / 1e9
    summary.wall_s = sum(row.wall_s for row in rows)
    summary.concurrency = _ratio(summary.wall_s, summary.makespan_s)
    for node, (first, last) in _spans(rows, lambda row: row.node).items():
        summary.core_hours += (data.nodes[node].cpus or 0) * (last - first) / 3.6e12
    cpu_seconds = [row.cpu_s for row in rows if row.cpu_s is not None]
    summary.cpu_known = len(cpu_seconds)
    summary.cpu_hours = sum(cpu_seconds) / 3600
    summary.cpu_efficiency = _ratio(summary.cpu_hours, summary.core_hours)
    summary.gpu_hours = sum(row.wall_s * row.gpus.held for row in rows) / 3600
    summary.gpu_sampled_hours = sum(row.wall_s * row.gpus.held for row in rows if row.gpus.busy is not None) / 3600
    summary.gpu_busy_hours = sum(row.wall_s * (row.gpus.busy or 0.0) for row in rows) / 3600
    summary.gpu_efficiency = _ratio(summary.gpu_busy_hours, summary.gpu_sampled_hours)
    worker_s = sum(last - first for first, last in _spans(rows, lambda row: row.worker).values()) / 1e9
    summary.occupancy = _ratio(summary.wall_s, worker_s)
    summary.failed_hours = sum(row.wall_s for row in rows if row.failed) / 3600
    return summary


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def _spans(rows: Iterable[Row], of: _Key) -> dict[int, tuple[int, int]]:
    """Return first start and last end, by what ``of`` names."""
    spans: dict[int, tuple[int, int]] = {}
    for row in rows:
        first, last = spans.get(of(row), (row.start_ns, row.end_ns))
        spans[of(row)] = (min(first, row.start_ns), max(last, row.end_ns))
    return spans


def functions(data: Gathered) -> list[FunctionFigures]:
    """Return figures of every function, those that took the most time first."""
    together = most_together(data.rows, lambda row: row.node)
    in_job = most_together(data.rows, lambda row: (row.node, row.job))
    grouped: dict[int, list[Row]] = defaultdict(list)
    for row in data.rows:
        grouped[row.function].append(row)
    figures = [_function(index, data.functions[index], rows, together, in_job) for index, rows in grouped.items()]
    figures.sort(key=lambda function: (-function.wall_sum_s, function.facts.name))
    return figures


def _function(
    index: int,
    facts: FunctionFacts,
    rows: list[Row],
    together: Mapping[int, int],
    in_job: Mapping[tuple[int, str | None], int],
) -> FunctionFigures:
    walls = sorted(row.wall_s for row in rows)
    sizes = [row.rss_bytes for row in rows if row.rss_bytes is not None]
    used = [row.cpu_s / row.wall_s for row in rows if row.cpu_s is not None and row.wall_s > 0]
    allowed = [row.cpus_allowed for row in rows if row.cpus_allowed]
    gpus_used = [row.gpus.used for row in rows if row.gpus.used is not None]
    gpus_busy = [row.gpus.busy for row in rows if row.gpus.busy is not None]
    return FunctionFigures(
        index=index,
        facts=facts,
        attempts=len(rows),
        tasks=len({row.task_id for row in rows}),
        failed=sum(1 for row in rows if row.failed),
        wall_sum_s=sum(walls),
        wall_median_s=statistics.median(walls),
        wall_p95_s=percentile(walls, 0.95),
        wall_max_s=walls[-1],
        cpu_sum_s=sum(row.cpu_s or 0.0 for row in rows),
        cpus_used=statistics.median(used) if used else None,
        cpus_allowed=statistics.median(allowed) if allowed else None,
        rss_median=statistics.median(sizes) if sizes else None,
        rss_max=max(sizes, default=None),
        gpus_held=statistics.median(row.gpus.held for row in rows),
        gpus_used=statistics.median(gpus_used) if gpus_used else None,
        gpu_busy=statistics.fmean(gpus_busy) if gpus_busy else None,
        gpu_hours=sum(row.wall_s * row.gpus.held for row in rows) / 3600,
        cpu_joules=_sum(row.cpu_joules for row in rows),
        gpu_joules=_sum(row.gpu_joules for row in rows),
        together=max(together[row.node] for row in rows),
        in_job=in_job,
        rows=rows,
    )


def _sum(values: Iterable[float | None]) -> float | None:
    """Return the sum of those that there are; None if there is none."""
    counted = [value for value in values if value is not None]
    return sum(counted) if counted else None


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest of sorted values that at least ``share`` of them do not exceed (nearest rank)."""
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def most_together(rows: Iterable[Row], place: Callable[[Row], Place]) -> dict[Place, int]:
    """Return by place, such as a node, the most attempts that ran there at one moment."""
    events: dict[Place, list[tuple[int, int]]] = defaultdict(list)
    for row in rows:
        # An end sorts before a start at the same moment: one followed the other.
        here = events[place(row)]
        here += [(row.start_ns, 1), (row.end_ns, -1)] if row.end_ns > row.start_ns else [(row.start_ns, 0)]
    peaks = {}
    for key, changes in events.items():
        running = most = 0
        for _, change in sorted(changes):
            running += change
            most = max(most, running)
        peaks[key] = max(most, 1)
    return peaks


def failures(data: Gathered) -> list[FailureGroup]:
    """Return failed attempts, grouped; tasks that never completed first, then by number."""
    alike = [_VARYING.sub("#", error) for error in data.errors]
    grouped: dict[tuple[int, str], list[Row]] = defaultdict(list)
    for row in data.rows:
        if row.failed:
            grouped[row.function, alike[row.error]].append(row)
    groups = []
    for (function, _), rows in grouped.items():
        rows.sort(key=lambda row: (not row.latest, row.task_id, row.attempt))
        errors = Counter(row.error for row in rows)
        groups.append(FailureGroup(function, data.errors[errors.most_common(1)[0][0]], len(errors), rows))
    groups.sort(key=lambda group: (-group.lasting, -len(group.rows), group.function))
    return groups


def busy(rows: Iterable[Row], start_ns: int, width_ns: float, count: int, weight: _Weight) -> list[float]:
    """Return how much of something ran in each of ``count`` bins from ``start_ns``: the mean over the bin.

    Args:
        rows: attempts.
        start_ns: beginning of the first bin.
        width_ns: width of a bin.
        count: number of bins.
        weight: how much an attempt is while it runs: 1 for itself, its CPUs busy, …
    """
    bins = [0.0] * count
    for row in rows:
        amount = weight(row)
        if not amount or row.end_ns <= row.start_ns:
            continue
        begin, end = (row.start_ns - start_ns) / width_ns, (row.end_ns - start_ns) / width_ns
        first, last = max(int(begin), 0), min(int(end), count - 1)
        for at in range(first, last + 1):
            bins[at] += amount * (min(end, at + 1) - max(begin, at))
    return bins


def mean_cpus(row: Row) -> float:
    """Return CPUs that an attempt kept busy on average: CPU time / wall."""
    return row.cpu_s / row.wall_s if row.cpu_s is not None and row.wall_s > 0 else 0.0


def gaps(rows: Iterable[Row]) -> list[float]:
    """Return seconds between an attempt's end and the next one's start on the same worker, if a worker had several."""
    by_worker: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        by_worker[row.worker].append(row)
    lengths_s = []
    for mine in by_worker.values():
        mine.sort(key=lambda row: row.start_ns)
        lengths_s += [max(0.0, (b.start_ns - a.end_ns) / 1e9) for a, b in itertools.pairwise(mine)]
    return lengths_s
