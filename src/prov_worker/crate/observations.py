"""Observations: one for each quantity that was sampled while a task ran, and the totals drawn from them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from prov_worker.crate import vocabulary as v
from prov_worker.crate.entities import entity, property_value
from prov_worker.crate.json_text import one_line, safe_name
from prov_worker.crate.series_json import CPU_COLUMN, RSS_COLUMN
from prov_worker.humanize import plural
from prov_worker.model import Column, Series, TaskSeries

_LABELS = {
    ("task", CPU_COLUMN): (v.CPU_OBSERVATION, "CPU usage"),
    ("task", RSS_COLUMN): (v.MEMORY_OBSERVATION, "Resident memory"),
}
_WHOSE = {"task": "the task's process tree", "node": "the whole node", "gpu": "the GPU"}
_TECHNIQUE = {
    "task": "/proc of the worker and its descendants, read by a process of its own",
    "node": "/proc of the node, read by a process of its own",
    "gpu": "the GPU's driver, read by a process of its own",
}


@dataclass(slots=True)
class Observed:
    """What the series of a task give to its crate.

    Attributes:
        entities: rendered Observations and PropertyValues.
        performance: ids of observations by component id.
        usage_ids: ids of the PropertyValues that summarise them.
    """

    entities: list[str] = field(default_factory=list)
    performance: dict[str, list[str]] = field(default_factory=dict)
    usage_ids: list[str] = field(default_factory=list)

    def summary(self, identifier: str, name: str, value: float, unit: str, property_id: str) -> None:
        """Add one PropertyValue to the summary; the first of an id stands."""
        if identifier in self.usage_ids:
            return
        self.usage_ids.append(identifier)
        self.entities.append(property_value(identifier, name, value, unit=unit, property_id=property_id))


def observe(
    series: TaskSeries, task_id: str, started: str, image: str | None, storage: str | None, cpu_sampled: bool
) -> Observed:
    """Render the observations of a task.

    Args:
        series: what was sampled.
        task_id: cleaned id of the task.
        started: start of the task, as the profiles take it.
        image: id of the plot; None if there is none.
        storage: id of the component that input and output are about.
        cpu_sampled: whether ``data/cpu_usage.json`` is in the crate.
    """
    observed = Observed()
    seen: set[str] = set()
    for base, base_series in series.all():
        for name, column in base_series.columns.items():
            if column.subject.startswith("cpu:"):
                # One value per logical CPU: in the file; a hundred entities a node would say no more.
                continue
            extremes = _extremes(column)
            if extremes is None:
                continue
            identifier, label = _LABELS.get((base, name), ("", ""))
            if not identifier:
                identifier = f"#observation-{base}-{safe_name(name)}"
                label = one_line(f"{base} {name.replace('_', ' ')}")
            if identifier in seen:
                continue
            seen.add(identifier)
            component = _component(name, column, storage)
            is_cpu = identifier == v.CPU_OBSERVATION
            properties = {
                "name": label,
                "description": f"{label} of {_WHOSE[base]} while task {task_id} ran: "
                f"{_completeness(base_series, column)}",
                "observationAbout": {"@id": component},
                "measurementTechnique": f"{_TECHNIQUE[base]}, each {column.interval_s or base_series.interval_s:g} s",
                "observationDate": started,
                "minValue": extremes[0],
                "maxValue": extremes[1],
                "unitCode": v.UNITS.get(column.unit),
                "value": {"@id": v.CPU_FILE if is_cpu and cpu_sampled else v.SERIES_FILE},
                "image": {"@id": image} if image and is_cpu else None,
            }
            observed.entities.append(entity(identifier, "Observation", properties))
            observed.performance.setdefault(component, []).append(identifier)
            _summarise(observed, base, name, column, base_series.offset_s, extremes)
    return observed


def _extremes(column: Column) -> tuple[float, float] | None:
    """Return :meth:`Column.extremes`; of the finite means, if a bound is missing or no number."""
    extremes = column.extremes()
    if extremes is None or not (math.isfinite(extremes[0]) and math.isfinite(extremes[1])):
        extremes = Column(column.unit, [value for value in column.mean if _finite(value)]).extremes()
    return extremes


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _completeness(series: Series, column: Column) -> str:
    if column.interval_s is not None:
        return plural(sum(value is not None for value in column.mean), "sample")
    taken = series.taken if series.taken is not None else len(series)
    text = plural(taken, "sample")
    if series.expected is not None:
        text = f"{taken:,} of {plural(series.expected, 'expected sample')}"
    if len(series) != taken:
        text += f", kept as {len(series):,}"
    if series.longest_gap_s is not None:
        text += f", longest gap {series.longest_gap_s:.3g} s"
    return text


def _component(name: str, column: Column, storage: str | None) -> str:
    kind, _, number = column.subject.partition(":")
    if kind == "gpu":
        return f"#hardware-gpu-{safe_name(number or '0')}"
    lowered = name.lower()
    if any(word in lowered for word in ("rss", "mem", "pss", "swap", "vms")):
        return v.RAM_COMPONENT
    # whole words: threads are not read
    if storage and not {"read", "write", "written", "io", "disk"}.isdisjoint(lowered.split("_")):
        return storage
    return v.CPU_COMPONENT


def _summarise(
    observed: Observed, base: str, name: str, column: Column, offset_s: list[float], extremes: tuple[float, float]
) -> None:
    """Add peaks and means under the terms that consumers of Workflow Run RO-Crate know (COMPSs).

    Means are over time: a sample counts for as long as it stands for.
    """
    low, high = extremes

    def mean() -> float:
        total, length_s, before_s = 0.0, 0.0, 0.0
        for value, later_s in zip(column.mean, offset_s, strict=False):
            if value is not None and _finite(value):
                total += value * (later_s - before_s)
                length_s += later_s - before_s
                before_s = later_s
        values = [value for value in column.mean if value is not None and _finite(value)]
        return round(total / length_s if length_s > 0 else sum(values) / len(values), 3)

    if base == "task" and name == CPU_COLUMN:
        observed.summary("#usage-cpu-max", "maximum CPU use", high, "percent", v.COMPSS + "cpuMax")
        observed.summary("#usage-cpu-mean", "mean CPU use", mean(), "percent", v.COMPSS + "cpuAvg")
    elif base == "task" and name == RSS_COLUMN:
        observed.summary("#usage-rss-min", "smallest resident memory", low, "byte", v.COMPSS + "memMin")
        observed.summary("#usage-rss-max", "largest resident memory", high, "byte", v.COMPSS + "memMax")
        observed.summary("#usage-rss-mean", "mean resident memory", round(mean()), "byte", v.COMPSS + "memAvg")
    elif base == "gpu":
        key = "gpu-" + safe_name(column.subject.partition(":")[2] or "0")
        if column.unit == "percent" and "util" in name:
            observed.summary(f"#usage-{key}-max", f"maximum use of {key}", high, "percent", v.COMPSS + "gpuMax")
            observed.summary(f"#usage-{key}-mean", f"mean use of {key}", mean(), "percent", v.COMPSS + "gpuAvg")
        elif column.unit == "byte" and "mem" in name:
            observed.summary(
                f"#usage-{key}-memory-max", f"largest memory use of {key}", high, "byte", v.COMPSS + "gpuMemMax"
            )
