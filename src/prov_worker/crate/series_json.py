"""The two files of samples: the prototype's list of CPU samples, and all series with units.

``data/cpu_usage.json`` is ``[{"timestamp", "cpu_percent"}, …]`` of the task's process tree; 100 is one logical CPU.
``data/resource_usage.json`` is columnar::

    {"start": "<UTC>", "start_ns": <int>, "series": {"task": {
        "interval_s": 0.05, "expected": 20, "taken": 20, "longest_gap_s": 0.051,
        "offset_s": [0.05, …],
        "columns": {"cpu_percent": {"unit": "percent", "subject": "task", "mean": […], "low": […], "high": […]}}}}}

``offset_s`` counts from the start of the task; ``low`` and ``high`` are there when a sample stands for several.
A column that is read more slowly than the others has an ``interval_s`` of its own, and null in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prov_worker.crate.bounds import MAX_NUMBER, MAX_SAMPLES
from prov_worker.crate.json_text import encode, finite, is_number, utc
from prov_worker.humanize import plural
from prov_worker.model import Column, Series, TaskSeries

CPU_COLUMN = "cpu_percent"
RSS_COLUMN = "rss_bytes"
#: Longer than any task: some thirty years.
_LONGEST_S = 1e9


def cpu_samples(series: TaskSeries, start_ns: int) -> list[tuple[int, float]]:
    """Return pairs of time (ns since the epoch) and CPU use in percent; samples without a value are left out."""
    task = series.task
    column = task.columns.get(CPU_COLUMN) if task is not None else None
    if task is None or column is None:
        return []
    return [
        (start_ns + int(offset * 1e9), value)
        for offset, value in zip(task.offset_s, column.mean, strict=False)
        if value is not None and is_number(value)
    ]


def cpu_usage(samples: list[tuple[int, float]]) -> bytes:
    """Return content of ``data/cpu_usage.json``, one sample per line."""
    lines = [f'{{"timestamp":"{utc(time_ns)}","cpu_percent":{value!r}}}' for time_ns, value in samples]
    return ("[\n" + ",\n".join(lines) + "\n]\n").encode()


def resource_usage(series: TaskSeries, start_ns: int) -> bytes:
    """Return content of ``data/resource_usage.json``."""
    data = {
        "start": utc(start_ns),
        "start_ns": start_ns,
        "series": {base: _series(base_series) for base, base_series in series.all()},
    }
    try:
        text = encode(data)
    except ValueError:
        # A NaN or an infinity among the values: looked for only if there is one.
        text = encode(finite(data))
    return (text + "\n").encode("utf-8", "replace")


def _series(series: Series) -> dict[str, Any]:
    return {
        "interval_s": series.interval_s,
        "expected": series.expected,
        "taken": series.taken,
        "longest_gap_s": series.longest_gap_s,
        "offset_s": series.offset_s,
        "columns": {name: _column(column) for name, column in series.columns.items()},
    }


def _column(column: Column) -> dict[str, Any]:
    data: dict[str, Any] = {"unit": column.unit, "subject": column.subject, "mean": column.mean}
    if column.low is not None:
        data["low"] = column.low
    if column.high is not None:
        data["high"] = column.high
    if column.interval_s is not None:
        data["interval_s"] = column.interval_s
    return data


def read_resource_usage(data: Mapping[str, Any]) -> TaskSeries:
    """Return series from the content of ``data/resource_usage.json``.

    Raises:
        KeyError, TypeError, ValueError: the data has another shape.
    """
    by_base: dict[str, Series] = {}
    count = 0
    for base, entry in _object(data["series"], "series").items():
        if base not in ("task", "node", "gpu"):
            raise ValueError(f"unknown series {base!r}")
        offsets = _numbers(_object(entry, base)["offset_s"], base, "offset_s")
        if not all(offset is not None and abs(offset) < _LONGEST_S for offset in offsets):
            raise ValueError(f"{base}.offset_s: expected seconds since the start")
        columns = {}
        for name, column in _object(entry["columns"], f"{base}.columns").items():
            _object(column, f"{base}.{name}")
            lists = {part: column[part] for part in ("mean", "low", "high") if column.get(part) is not None}
            for part, values in lists.items():
                _numbers(values, name, part)
                count += len(values)
                if count > MAX_SAMPLES:
                    raise ValueError(f"more than {MAX_SAMPLES:,} samples")
                if len(values) != len(offsets):
                    raise ValueError(
                        f"{base}.{name}.{part}: {plural(len(values), 'value')} for {plural(len(offsets), 'time')}"
                    )
            columns[name] = Column(
                unit=_text(column["unit"], name, "unit"),
                mean=_numbers(column["mean"], name, "mean"),
                low=column.get("low"),
                high=column.get("high"),
                subject=_text(column.get("subject", "task"), name, "subject"),
                interval_s=_number(column.get("interval_s"), name, "interval_s"),
            )
        interval = _number(entry["interval_s"], base, "interval_s")
        if interval is None:
            raise TypeError(f"{base}.interval_s: expected a number")
        by_base[base] = Series(
            interval_s=float(interval),
            offset_s=offsets,
            columns=columns,
            expected=_number(entry.get("expected"), base, "expected"),
            taken=_number(entry.get("taken"), base, "taken"),
            longest_gap_s=_number(entry.get("longest_gap_s"), base, "longest_gap_s"),
        )
    return TaskSeries(by_base.get("task"), by_base.get("node"), by_base.get("gpu"))


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{name}: expected a JSON object")
    return value


def _number(value: Any, name: str, part: str) -> Any:
    if value is not None and not is_number(value):
        raise TypeError(f"{name}.{part}: expected a number")
    return value


def _text(value: Any, name: str, part: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name}.{part}: expected a text")
    return value


def _numbers(values: Any, name: str, part: str) -> list[Any]:
    if not isinstance(values, list) or not all(value is None or is_number(value) for value in values):
        raise TypeError(f"{name}.{part}: expected a list of numbers")
    if not all(value is None or abs(value) < MAX_NUMBER for value in values):
        raise ValueError(f"{name}.{part}: a number larger than any, {MAX_NUMBER:g}")
    return values
