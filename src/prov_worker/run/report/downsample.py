"""Series and other data made small: fewer points, whole numbers, deflate, base64."""

from __future__ import annotations

import base64
import itertools
import json
import zlib
from collections.abc import Sequence
from typing import Any

from prov_worker.model import Column, Series, TaskSeries

#: Points that the page keeps of all series of a quantity together, and of one series.
ALL_POINTS = 600_000
MOST_POINTS = 240
LEAST_POINTS = 24


def points_for(steps: int) -> int:
    """Return points of one series if a run has that many steps."""
    return max(LEAST_POINTS, min(MOST_POINTS, ALL_POINTS // max(steps, 1)))


def buckets(count: int, points: int) -> list[tuple[int, int]]:
    """Return ``count`` samples as at most ``points`` runs of neighbours: begin and end of each."""
    if count <= points:
        return [(i, i + 1) for i in range(count)]
    edges = [round(i * count / points) for i in range(points + 1)]
    return list(itertools.pairwise(edges))


def _mean(values: Sequence[float | int | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return sum(numbers) / len(numbers) if numbers else None


def _largest(values: Sequence[float | int | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _rounded(values: Sequence[float | None], scale: float) -> list[int | None]:
    return [None if value is None else round(value / scale) for value in values]


def thinned(series: TaskSeries, points: int, *, all_quantities: bool) -> dict[str, Any]:
    """Return the series of one task as the page draws them.

    Args:
        series: as the crate has them.
        points: most points of each.
        all_quantities: also those that a page about many tasks has no space for: threads, traffic, the node.

    Returns:
        By base ``t`` (milliseconds after the start) and by quantity whole numbers: percent, MiB for bytes, counts.
        ``cpu`` has the mean and ``cpu_high`` the largest value of each point, if points stand for several samples.
    """
    bases: dict[str, Any] = {}
    if series.task is not None and len(series.task):
        bases["task"] = _base(series.task, points, _TASK if all_quantities else _TASK[:3])
    if all_quantities and series.node is not None and len(series.node):
        bases["node"] = _base(series.node, points // 2, _NODE)
    if series.gpu is not None and len(series.gpu):
        bases["gpu"] = _gpus(series.gpu, points // 2, all_quantities)
    return {base: columns for base, columns in bases.items() if len(columns) > 1}


#: Name in the page, column, unit, and whether the mean or the largest value stands for a point.
_Wanted = tuple[str, str, float, bool]
_TASK: tuple[_Wanted, ...] = (
    ("cpu", "cpu_percent", 1, True),
    ("cpu_high", "cpu_percent", 1, False),
    ("rss", "rss_bytes", 1 << 20, False),
    ("threads", "threads", 1, False),
    ("read", "read_chars", 1 << 20, False),
    ("written", "written_chars", 1 << 20, False),
)
_NODE: tuple[_Wanted, ...] = (("cpu", "cpu_percent", 1, True), ("memory", "memory_used_bytes", 1 << 20, False))


def _base(series: Series, points: int, wanted: Sequence[_Wanted]) -> dict[str, Any]:
    runs = buckets(len(series), max(points, LEAST_POINTS))
    columns: dict[str, Any] = {"t": _times(series, runs)}
    for name, column_name, scale, mean in wanted:
        column = series.columns.get(column_name)
        if column is None:
            continue
        values = _rounded(_points(column, runs, mean), scale)
        if name.endswith("_high") and values == columns.get(name.removesuffix("_high")):
            continue
        columns[name] = values
    return columns


def _gpus(series: Series, points: int, memory: bool) -> dict[str, Any]:
    runs = buckets(len(series), max(points, LEAST_POINTS))
    columns: dict[str, Any] = {"t": _times(series, runs)}
    for name, column in series.columns.items():
        number = column.subject.partition(":")[2] or "0"
        if name.endswith("utilization_percent"):
            columns[f"gpu{number}"] = _rounded(_points(column, runs, True), 1)
        elif memory and name.endswith("memory_used_bytes"):
            columns[f"mem{number}"] = _rounded(_points(column, runs, False), 1 << 20)
    return columns


def _times(series: Series, runs: Sequence[tuple[int, int]]) -> list[int]:
    # Differences: small numbers that repeat, which deflate to little.
    times = [round(1000 * series.offset_s[end - 1]) for _, end in runs]
    return [later - earlier for earlier, later in itertools.pairwise([0, *times])]


def _points(column: Column, runs: Sequence[tuple[int, int]], mean: bool) -> list[float | None]:
    if mean:
        return [_mean(column.mean[begin:end]) for begin, end in runs]
    high = column.high if column.high is not None else column.mean
    return [_largest(high[begin:end]) for begin, end in runs]


def packed(data: Any) -> str:
    """Return JSON, raw deflate (RFC 1951), base64: what the page's script unpacks."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    engine = zlib.compressobj(9, zlib.DEFLATED, -15)
    return base64.b64encode(engine.compress(text.encode()) + engine.flush()).decode()
