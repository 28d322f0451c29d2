"""What a plot of a task shows: curves of finite values, in units that are easy to read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from prov_worker.crate.plot_caption import Caption
from prov_worker.crate.series_json import CPU_COLUMN, RSS_COLUMN
from prov_worker.errors import CrateError
from prov_worker.model import Column, Series, TaskSeries

CPU_COLOUR = "#1f5fa8"
MEMORY_COLOUR = "#b4531a"
TEXT_COLOUR = "#222222"
GRID_COLOUR = "#dddddd"
NODE_COLOUR = "#9a9a9a"
ENDING_COLOUR = "#b3261e"

#: What is around a task is left out if it is larger than this many times its own use, which it would flatten.
_CONTEXT = 4.0
_UNITS = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B"))


@dataclass(frozen=True, slots=True)
class Curve:
    """One quantity over time: finite values only.

    Attributes:
        time_s: seconds from the start of the task.
        mean: values.
        low, high: the band around them; None if samples stand for themselves.
    """

    time_s: list[float]
    mean: list[float]
    low: list[float] | None = None
    high: list[float] | None = None

    @property
    def top(self) -> float:
        """Largest value."""
        return max(self.high if self.high is not None else self.mean)

    def until(self, end_s: float) -> Curve | None:
        """Return the part from the task's start to a moment; None if there is nothing of it."""
        kept = [number for number, time_s in enumerate(self.time_s) if 0.0 <= time_s <= end_s]
        if not kept:
            return None
        first, last = kept[0], kept[-1] + 1
        low = None if self.low is None else self.low[first:last]
        high = None if self.high is None else self.high[first:last]
        return Curve(self.time_s[first:last], self.mean[first:last], low, high)


def curve(series: Series | None, name: str, scale: float = 1.0) -> Curve | None:
    """Return a column of a series for drawing; None if it has no value."""
    column: Column | None = series.columns.get(name) if series is not None else None
    if series is None or column is None:
        return None
    banded = column.low is not None and column.high is not None
    low: Sequence[float | None] = column.low if banded and column.low is not None else column.mean
    high: Sequence[float | None] = column.high if banded and column.high is not None else column.mean
    points = [
        (
            time,
            mean / scale,
            (lowest if lowest is not None else mean) / scale,
            (top if top is not None else mean) / scale,
        )
        for time, mean, lowest, top in zip(series.offset_s, column.mean, low, high, strict=False)
        if mean is not None and math.isfinite(mean)
    ]
    if not points:
        return None
    times, means, lows, highs = ([float(value) for value in part] for part in zip(*points, strict=True))
    return Curve(times, means, lows, highs) if banded else Curve(times, means)


def byte_unit(largest: float) -> tuple[int, str]:
    """Return the unit in which a number of bytes is easy to read."""
    return next((unit for unit in _UNITS if largest >= unit[0]), _UNITS[-1])


@dataclass(frozen=True, slots=True)
class Picture:
    """All that a plot shows, with its axes: one per unit.

    Attributes:
        cpu: CPU use of the task, percent; 100 is one logical CPU.
        node: that of its whole node; None if it was not sampled, or would leave nothing to see of the task.
        allowed_percent: what the CPUs that it might use come to; None if unknown, or far above what was used.
        memory: resident memory of the task, in ``unit``; None without one.
        unit: of memory.
        end_s: end of the time axis.
        cpu_top, memory_top: ends of the others.
        ends: moments to mark, in seconds, each with a word or two: how a task failed, and its time limit.
    """

    cpu: Curve
    node: Curve | None
    allowed_percent: float | None
    memory: Curve | None
    unit: str
    end_s: float
    cpu_top: float
    memory_top: float
    ends: list[tuple[float, str]]

    @property
    def names(self) -> list[str]:
        """What is in the CPU's panel."""
        names = ["this task"]
        if self.node is not None:
            names.append("all of the node")
        if self.allowed_percent is not None:
            names.append(f"allowed: {self.allowed_percent / 100:g} CPU" + ("s" if self.allowed_percent > 100 else ""))
        return names


def picture(series: TaskSeries, caption: Caption) -> Picture:
    """Return what to draw of a task.

    Raises:
        CrateError: there is no CPU sample.
    """
    cpu = curve(series.task, CPU_COLUMN)
    if cpu is None:
        raise CrateError(f"series.task.{CPU_COLUMN}", "no sample, so there is nothing to draw")
    memory, unit = curve(series.task, RSS_COLUMN), ""
    if memory is not None:
        size, unit = byte_unit(memory.top)
        memory = curve(series.task, RSS_COLUMN, size)
    most = _CONTEXT * max(cpu.top, 100.0)
    node = curve(series.node, CPU_COLUMN)
    if node is not None and node.top > most:
        node = None
    allowed = None if caption.cpus_allowed is None else 100.0 * caption.cpus_allowed
    if allowed is not None and allowed > most:
        allowed = None
    last_s = max(part.time_s[-1] for part in (cpu, memory) if part is not None)
    end_s = max(last_s, caption.end_s or 0.0) or 1.0
    if node is not None:
        node = node.until(end_s)
    ends = [(caption.end_s, caption.ending)] if caption.ending and caption.end_s is not None else []
    if caption.limit_s is not None and 0 < caption.limit_s <= end_s * 1.02:
        end_s = max(end_s, caption.limit_s)
        ends.append((caption.limit_s, f"limit {caption.limit_s:g} s"))
    tops = [cpu.top, 10.0, allowed or 0.0, node.top if node is not None else 0.0]
    top = ceiling(memory.top) if memory is not None else 1.0
    return Picture(cpu, node, allowed, memory, unit, end_s, ceiling(max(tops)), top, ends)


def what_is_drawn(series: TaskSeries) -> TaskSeries:
    """Return the columns that a plot shows, without the others."""
    return TaskSeries(task=_part(series.task, (CPU_COLUMN, RSS_COLUMN)), node=_part(series.node, (CPU_COLUMN,)))


def _part(series: Series | None, names: tuple[str, ...]) -> Series | None:
    if series is None:
        return None
    columns = {name: series.columns[name] for name in names if name in series.columns}
    return Series(series.interval_s, series.offset_s, columns)


def ceiling(value: float) -> float:
    """Return the next round number at or above a positive value: 1, 2, 2.5 or 5 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value * 0.9999)
