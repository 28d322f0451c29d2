"""One crate in a few numbers, as tables show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prov_worker.model import Series

if TYPE_CHECKING:
    from prov_worker.crate.reader import StepCrate


def number(crate: StepCrate, key: str) -> float | None:
    """What a task used, by its key in the crate's summary; None where the crate has no such number."""
    value, _ = crate.usage.get(key, (None, ""))
    return value if isinstance(value, (int, float)) else None


def mean(series: Series | None, column: str) -> float | None:
    """Mean of a column of a series; None where nothing was read."""
    found = None if series is None else series.columns.get(column)
    values = [] if found is None else [value for value in found.mean if value is not None]
    return sum(values) / len(values) if values else None


def summarise(crate: StepCrate) -> dict[str, Any]:
    """The facts of a task that fit into a table's row.

    Returns:
        ``status``, ``reason`` (one line, None where the task succeeded), ``seconds``, ``samples``, ``cpu_percent``
        (100 is one logical CPU: by CPU time where the worker could count it, else by the samples), ``peak_rss_bytes``.
    """
    task = crate.series().task
    cpu_s = number(crate, "cpu")
    seconds = crate.wall_time_s
    busy = 100 * cpu_s / seconds if cpu_s is not None and seconds else mean(task, "cpu_percent")
    return {
        "status": crate.status,
        "reason": crate.error.splitlines()[0] if crate.error else None,
        "seconds": seconds,
        "samples": 0 if task is None else task.taken if task.taken is not None else len(task),
        "cpu_percent": busy,
        "peak_rss_bytes": number(crate, "peak-rss"),
    }
