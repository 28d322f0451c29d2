"""What the page shows of trackers' runs and of models: two tables, and curves on the time axis of an attempt."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from prov_worker.crate.summary import RunStep
from prov_worker.humanize import clipped
from prov_worker.run.report.downsample import LEAST_POINTS, buckets
from prov_worker.training import Metric, TrackedRun, TrainedModel, Training

#: Rows of each table, and curves of one attempt.
MOST_ROWS = 2_000
MOST_CURVES = 12
_MOST_VALUES = 40
_NAME_CHARS = 80


@dataclass(slots=True)
class TrainingRow:
    """A run that a tracker knows: key of its attempt, and what the table says of it."""

    key: str
    function: str
    tool: str
    name: str
    status: str
    parameters: str
    metrics: str


@dataclass(slots=True)
class ModelRow:
    """A model that was trained: key of its attempt, and what the table says of it."""

    key: str
    function: str
    name: str
    optimizer: str
    steps: int
    step_seconds: float | None
    parameters: int | None
    devices: str


def training_rows(step: RunStep, training: Training) -> list[TrainingRow]:
    """Return a row for each run of an attempt."""
    return [
        TrainingRow(
            step.key,
            step.function,
            run.tool,
            _cut(run.name or run.id),
            run.status or "",
            ", ".join(f"{_cut(name)} = {_cut(value)}" for name, value in list(run.parameters.items())[:_MOST_VALUES]),
            ", ".join(map(_last, run.metrics[:_MOST_VALUES])),
        )
        for run in training.runs
    ]


def model_rows(step: RunStep, training: Training) -> list[ModelRow]:
    """Return a row for each model of an attempt."""
    return [
        ModelRow(
            step.key,
            step.function,
            _cut(model.name or "unnamed"),
            model.optimizer or "–",
            model.steps,
            model.step_seconds,
            model.parameters,
            ", ".join(map(_cut, model.devices)),
        )
        for model in training.models
    ]


def curves(step: RunStep, training: Training, points: int) -> list[list[Any]]:
    """Return the metrics of an attempt as the page draws them, on the time axis of its samples.

    Args:
        step: the attempt.
        training: what libraries report of it.
        points: most points of each.

    Returns:
        Of each: title, times (milliseconds after the start of the attempt, as differences), values.
    """
    if step.start_ns is None:
        return []
    drawn = []
    several = len(training.runs) > 1
    for run in training.runs:
        for metric in run.metrics:
            if len(metric.values) > 1:
                drawn.append(_metric_curve(metric, run, step.start_ns, points, several))
    for model in training.models:
        if len(model.counts) > 1:
            drawn.append(_steps_curve(model, points))
    return drawn[:MOST_CURVES]


def _metric_curve(metric: Metric, run: TrackedRun, start_ns: int, points: int, several: bool) -> list[Any]:
    # as they were logged: those of one step may have come in any order
    ordered = sorted(zip(metric.times_ns, metric.values, strict=True), key=lambda point: point[0])
    title = f"{_cut(metric.name)} ({_cut(run.name or run.id)})" if several else _cut(metric.name)
    times_ms = [(time_ns - start_ns) / 1e6 for time_ns, _ in ordered]
    return _curve(title, times_ms, [value for _, value in ordered], points)


def _steps_curve(model: TrainedModel, points: int) -> list[Any]:
    title = f"Steps of {model.optimizer or 'an optimizer'}" + (f", {_cut(model.name)}" if model.name else "")
    return _curve(title, [1000 * offset_s for offset_s in model.offsets_s], list(map(float, model.counts)), points)


def _curve(title: str, times_ms: list[float], values: list[float | None], points: int) -> list[Any]:
    ends = [end - 1 for _, end in buckets(len(values), max(points, LEAST_POINTS))]
    times = [max(0, round(times_ms[at])) for at in ends]
    steps = [later - earlier for earlier, later in itertools.pairwise([0, *times])]
    return [title, steps, [None if (value := values[at]) is None else float(f"{value:.6g}") for at in ends]]


def _last(metric: Metric) -> str:
    return f"{_cut(metric.name)} = {'no number' if metric.last is None else f'{metric.last:.6g}'}"


def _cut(text: str) -> str:
    return clipped(text, _NAME_CHARS)
