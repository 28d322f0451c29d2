"""What a plot of a task shows: curves of finite values, in units that are easy to read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from prov_worker.crate.json_text import one_line
from prov_worker.crate.series_json import CPU_COLUMN, RSS_COLUMN
from prov_worker.errors import CrateError
from prov_worker.model import Column, TaskSeries

CPU_COLOUR = "#1f5fa8"
MEMORY_COLOUR = "#b4531a"
TEXT_COLOUR = "#222222"
GRID_COLOUR = "#dddddd"

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


def curve(series: TaskSeries, name: str, scale: float = 1.0) -> Curve | None:
    """Return a column of the task's series for drawing; None if it has no value."""
    task = series.task
    column: Column | None = task.columns.get(name) if task is not None else None
    if task is None or column is None:
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
        for time, mean, lowest, top in zip(task.offset_s, column.mean, low, high, strict=False)
        if mean is not None and math.isfinite(mean)
    ]
    if not points:
        return None
    times, means, lows, highs = ([float(value) for value in part] for part in zip(*points, strict=True))
    return Curve(times, means, lows, highs) if banded else Curve(times, means)


def byte_unit(largest: float) -> tuple[int, str]:
    """Return the unit in which a number of bytes is easy to read."""
    return next((unit for unit in _UNITS if largest >= unit[0]), _UNITS[-1])


def curves(series: TaskSeries) -> tuple[Curve, Curve | None, str]:
    """Return CPU, memory and the unit of memory.

    Raises:
        CrateError: there is no CPU sample.
    """
    cpu = curve(series, CPU_COLUMN)
    if cpu is None:
        raise CrateError(f"series.task.{CPU_COLUMN}", "no sample, so there is nothing to draw")
    memory = curve(series, RSS_COLUMN)
    if memory is None:
        return cpu, None, ""
    size, unit = byte_unit(memory.top)
    return cpu, curve(series, RSS_COLUMN, size), unit


def ceiling(value: float) -> float:
    """Return the next round number at or above a positive value: 1, 2, 2.5 or 5 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value * 0.9999)


def end_of(cpu: Curve, memory: Curve | None) -> float:
    """Return last time of the curves; 1 for a single sample at the start."""
    return max(cpu.time_s[-1], memory.time_s[-1] if memory is not None else 0.0) or 1.0


def short(title: str, limit: int = 72) -> str:
    """Return one line that fits above a plot."""
    title = one_line(title)
    return title if len(title) <= limit else title[: limit - 1] + "…"
