"""What a worker's settings ask of the sampler, and what of the samples belongs to a task that asked for less.

Which type is read how often stands in the worker's slot, as the settings of its first task say. Workers of one node
share the node's readings, and tasks of one worker its own; what a task did not ask for is taken out of its series
before the crate is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise

from prov_worker.model import Column, Series, TaskSeries
from prov_worker.spool.slot import OFF
from prov_worker.telemetry_settings import Telemetry

#: Types that are read of the worker's own processes, by the columns they fill.
TASK_KINDS = {
    "cpu_percent": "cpu",
    "rss_bytes": "memory",
    "threads": "threads",
    "read_chars": "io",
    "written_chars": "io",
    "read_bytes": "io",
    "written_bytes": "io",
    "children": "children",
    "children_rss_bytes": "children",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is read for one worker: seconds between readings, None for what is off.

    Attributes:
        task: by type, without those that are off.
        node, per_cpu, gpu: of the node's readings, which all workers share.
    """

    task: dict[str, float]
    node: float | None
    per_cpu: float | None
    gpu: float | None

    @classmethod
    def of(cls, intervals: Sequence[float], interval_s: float) -> Plan | None:
        """Return the plan that a slot holds; None if all types follow ``interval_s``."""
        if all(interval == interval_s for interval in intervals):
            return None
        by_kind = {
            kind.name: None if interval == OFF else interval
            for kind, interval in zip(fields(Telemetry), intervals, strict=True)
        }
        task = {kind: by_kind[kind] for kind in dict.fromkeys(TASK_KINDS.values())}
        task_intervals = {kind: value for kind, value in task.items() if value is not None}
        return cls(task_intervals, by_kind["node"], by_kind["per_cpu"], by_kind["gpu"])

    @property
    def row_s(self) -> float | None:
        """Seconds between samples of the task; None if nothing of it is sampled."""
        return min(self.task.values(), default=None)


def restrict(series: TaskSeries, telemetry: Telemetry, wall_time_s: float) -> None:
    """Take out of the series of a task what its settings did not ask for.

    Args:
        series: changed in place. A column that is read more slowly than the others holds None in between.
        telemetry: what was asked for.
        wall_time_s: seconds that the task took.
    """
    if not telemetry.to_mapping():
        return
    for base, base_series in list(series.all()):
        setattr(series, base, _restricted(base, base_series, telemetry, wall_time_s))
    if series.energy is not None:
        if telemetry.node is False:
            series.energy.node_joules = series.energy.cpu_joules = series.energy.idle_share = None
        if telemetry.gpu is False:
            series.energy.gpu_joules = {}


def _restricted(base: str, series: Series, telemetry: Telemetry, wall_time_s: float) -> Series | None:
    columns: dict[str, Column] = {}
    intervals: dict[str, float] = {}
    for name, column in series.columns.items():
        setting = getattr(telemetry, _kind(base, name, column))
        if setting is False:
            continue
        if setting is not True:
            column = _thinned(column, series, setting)
        if any(value is not None for value in column.mean):
            columns[name] = column
            intervals[name] = series.interval_s if setting is True else max(setting, series.interval_s)
    if not columns:
        return None
    shortest = min(intervals.values())
    kept = [n for n in range(len(series)) if any(column.mean[n] is not None for column in columns.values())]
    for name, column in columns.items():
        slower = intervals[name] if intervals[name] > shortest else None
        columns[name] = replace(_picked(column, kept), interval_s=slower)
    if len(kept) == len(series) and shortest == series.interval_s:
        return replace(series, columns=columns)
    offsets = [series.offset_s[n] for n in kept]
    gaps = [round(later - earlier, 4) for earlier, later in pairwise(offsets)]
    return Series(
        interval_s=shortest,
        offset_s=offsets,
        columns=columns,
        expected=int(wall_time_s / shortest),
        taken=len(kept),
        longest_gap_s=max(gaps, default=None),
    )


def _kind(base: str, name: str, column: Column) -> str:
    if base == "task":
        return TASK_KINDS[name]
    if base == "gpu":
        return "gpu"
    return "per_cpu" if column.subject.startswith("cpu:") else "node"


def _thinned(column: Column, series: Series, interval_s: float) -> Column:
    """Return a column with a value each ``interval_s`` and None in between."""
    slack = 0.4 * min(series.interval_s, interval_s)
    due = 0.0
    kept: set[int] = set()
    for n, (offset, value) in enumerate(zip(series.offset_s, column.mean, strict=True)):
        if value is not None and offset + slack >= due:
            kept.add(n)
            due = max((due or offset) + interval_s, offset + interval_s / 2)
    return replace(
        column,
        mean=[value if n in kept else None for n, value in enumerate(column.mean)],
        low=column.low and [value if n in kept else None for n, value in enumerate(column.low)],
        high=column.high and [value if n in kept else None for n, value in enumerate(column.high)],
    )


def _picked(column: Column, rows: list[int]) -> Column:
    if len(rows) == len(column.mean):
        return column
    return replace(
        column,
        mean=[column.mean[n] for n in rows],
        low=column.low and [column.low[n] for n in rows],
        high=column.high and [column.high[n] for n in rows],
    )
