"""What libraries report of models that a task trained: tracked runs with parameters and metrics, and models.

Names follow ML Schema (W3C Machine Learning Schema Community Group, http://www.w3.org/ns/mls): a *run* has
*hyperparameters* and *model evaluations*. Plain data on the standard library; ``_ns`` as in :mod:`prov_worker.model`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

#: Most points of a series that are kept.
MAX_POINTS = 4096
#: Most of each that is read of another process or file.
MAX_RUNS, MAX_METRICS, MAX_PAIRS, MAX_TEXT = 1000, 1000, 2000, 6000


@dataclass(slots=True)
class Metric:
    """A quantity that was logged again and again.

    Attributes:
        name: as it was logged.
        steps: of each value; as they were logged, so a step may come twice.
        values: None stands for NaN and infinities.
        times_ns: of each value, nanoseconds since the epoch.
        count: values that were logged; more than there are values here if the series was thinned.
        last, low, high: the value that was logged last, and the extremes of all finite ones; None if there is none.
    """

    name: str
    steps: list[int] = field(default_factory=list)
    values: list[float | None] = field(default_factory=list)
    times_ns: list[int] = field(default_factory=list)
    count: int = 0
    last: float | None = None
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, name: str, points: Sequence[tuple[int, float, int]]) -> Metric:
        """Return the metric of all its points, each step, value and time; thinned to :data:`MAX_POINTS`."""
        finite = [value for _, value, _ in points if math.isfinite(value)]
        kept = thinned(points, MAX_POINTS)
        last = points[-1][1] if points else math.nan
        return cls(
            name=name,
            steps=[step for step, _, _ in kept],
            values=[value if math.isfinite(value) else None for _, value, _ in kept],
            times_ns=[time_ns for _, _, time_ns in kept],
            count=len(points),
            last=last if math.isfinite(last) else None,
            low=min(finite, default=None),
            high=max(finite, default=None),
        )


@dataclass(slots=True)
class TrackedRun:
    """A run that an experiment tracker knows.

    Attributes:
        tool: ``mlflow`` or ``tensorboard``.
        id: the tracker's id of it; of TensorBoard, the directory of its event files.
        name: its name.
        status: as the tracker says it, such as ``FINISHED``, ``FAILED``, ``KILLED``, ``RUNNING``.
        parent: id of the run that it is a child of.
        experiment: name of its experiment.
        user: who made it.
        start_ns, end_ns: None if not known.
        artifacts: address of its artefacts.
        source: which store it was read from.
        parameters: hyperparameters by name.
        tags: by name.
        metrics: with all their values.
        notes: what is to be said of the reading, such as damaged files.
    """

    tool: str
    id: str
    name: str | None = None
    status: str | None = None
    parent: str | None = None
    experiment: str | None = None
    user: str | None = None
    start_ns: int | None = None
    end_ns: int | None = None
    artifacts: str | None = None
    source: str | None = None
    parameters: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: list[Metric] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class LayerTime:
    """Calls of all layers of one class: how many, and seconds within them, those of layers in them included."""

    name: str
    calls: int
    seconds: float


@dataclass(slots=True)
class TrainedModel:
    """A model that a library trained, as its optimizer met it.

    Attributes:
        library: such as ``torch``.
        name: class of the model; None if it was not seen.
        optimizer: class of the optimizer; None if there was none.
        steps: of the optimizer.
        step_seconds: mean time from one step to the next; None with fewer than two steps.
        step_seconds_low, step_seconds_high: extremes of these.
        parameters, trainable: numbers of its parameters.
        dtypes, devices: of its parameters.
        pid: process that it was trained in.
        offsets_s, counts: the steps over time: seconds since the task's start, and how many there had been.
    """

    library: str
    name: str | None = None
    optimizer: str | None = None
    steps: int = 0
    step_seconds: float | None = None
    step_seconds_low: float | None = None
    step_seconds_high: float | None = None
    parameters: int | None = None
    trainable: int | None = None
    dtypes: list[str] = field(default_factory=list)
    devices: list[str] = field(default_factory=list)
    pid: int | None = None
    offsets_s: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Training:
    """All that libraries report of a task.

    Attributes:
        runs: that trackers know.
        models: that were trained.
        layers: calls of layers, if that was asked for.
        conditions: what a result depends on, by name: seeds, determinism, versions.
        peak_device_bytes: most device memory that tensors took, by device; if it can be known for this task.
        absent: what could not be read, with the reason.
    """

    runs: list[TrackedRun] = field(default_factory=list)
    models: list[TrainedModel] = field(default_factory=list)
    layers: list[LayerTime] = field(default_factory=list)
    conditions: dict[str, str | int | float | bool] = field(default_factory=dict)
    peak_device_bytes: dict[str, int] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Return whether anything was reported."""
        return any((self.runs, self.models, self.layers, self.conditions, self.absent))

    def add(self, other: Training) -> None:
        """Add what another process reported."""
        self.runs += other.runs
        self.models += other.models
        self.layers += other.layers
        self.conditions |= other.conditions
        self.peak_device_bytes |= other.peak_device_bytes
        self.absent += other.absent

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON data, read back by :meth:`from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Any) -> Training:
        """Read what :meth:`to_dict` gave, with bounds on what another process or a crate may hold.

        Raises:
            ValueError: the data has another shape.
        """
        mapping = _mapping(data)
        return cls(
            runs=[_run(item) for item in _items(mapping, "runs", MAX_RUNS)],
            models=[_model(item) for item in _items(mapping, "models", MAX_RUNS)],
            layers=[
                LayerTime(_text(item["name"]) or "", _integer(item["calls"]) or 0, _number(item["seconds"]) or 0)
                for item in map(_mapping, _items(mapping, "layers", MAX_METRICS))
                if {"name", "calls", "seconds"} <= item.keys()
            ],
            conditions={
                str(name)[:MAX_TEXT]: value if isinstance(value, bool) or _number(value) is not None else str(value)
                for name, value in list(_mapping(mapping.get("conditions") or {}).items())[:MAX_PAIRS]
            },
            peak_device_bytes={
                str(name)[:MAX_TEXT]: number
                for name, value in list(_mapping(mapping.get("peak_device_bytes") or {}).items())[:MAX_PAIRS]
                if (number := _integer(value)) is not None
            },
            absent=[str(reason)[:MAX_TEXT] for reason in _items(mapping, "absent", MAX_PAIRS)],
        )


def thinned(points: Sequence[tuple[int, float, int]], limit: int) -> Sequence[tuple[int, float, int]]:
    """Return at most ``limit`` points in their order: the first, the last, and of each stretch its extremes."""
    count = len(points)
    if count <= limit:
        return points
    stretches = max(1, (limit - 2) // 2)
    kept = {0, count - 1}
    for number in range(stretches):
        stretch = range(number * count // stretches, (number + 1) * count // stretches)
        ordered = [i for i in stretch if not math.isnan(points[i][1])]
        if ordered:
            kept.add(min(ordered, key=lambda i: points[i][1]))
            kept.add(max(ordered, key=lambda i: points[i][1]))
        elif stretch:
            kept.add(stretch[0])
    return [points[i] for i in sorted(kept)]


def _run(data: Any) -> TrackedRun:
    item = _mapping(data)
    texts = {
        name: _text(item.get(name))
        for name in ("name", "status", "parent", "experiment", "user", "artifacts", "source")
    }
    return TrackedRun(
        tool=_text(item.get("tool")) or "",
        id=_text(item.get("id")) or "",
        start_ns=_integer(item.get("start_ns")),
        end_ns=_integer(item.get("end_ns")),
        parameters=_texts(item.get("parameters")),
        tags=_texts(item.get("tags")),
        metrics=[_metric(metric) for metric in _items(item, "metrics", MAX_METRICS)],
        notes=[str(note)[:MAX_TEXT] for note in _items(item, "notes", MAX_PAIRS)],
        **texts,
    )


def _metric(data: Any) -> Metric:
    item = _mapping(data)
    steps, values, times_ns = (_items(item, name, MAX_POINTS) for name in ("steps", "values", "times_ns"))
    if not len(steps) == len(values) == len(times_ns):
        raise ValueError("a metric whose steps, values and times are not of one number")
    return Metric(
        name=_text(item.get("name")) or "",
        steps=[_integer(step) or 0 for step in steps],
        values=[_number(value) for value in values],
        times_ns=[_integer(time_ns) or 0 for time_ns in times_ns],
        count=_integer(item.get("count")) or len(steps),
        last=_number(item.get("last")),
        low=_number(item.get("low")),
        high=_number(item.get("high")),
    )


def _model(data: Any) -> TrainedModel:
    item = _mapping(data)
    offsets_s, counts = (_items(item, name, MAX_POINTS) for name in ("offsets_s", "counts"))
    if len(offsets_s) != len(counts):
        raise ValueError("a model whose steps and times are not of one number")
    return TrainedModel(
        library=_text(item.get("library")) or "",
        name=_text(item.get("name")),
        optimizer=_text(item.get("optimizer")),
        steps=_integer(item.get("steps")) or 0,
        step_seconds=_number(item.get("step_seconds")),
        step_seconds_low=_number(item.get("step_seconds_low")),
        step_seconds_high=_number(item.get("step_seconds_high")),
        parameters=_integer(item.get("parameters")),
        trainable=_integer(item.get("trainable")),
        dtypes=[str(name)[:MAX_TEXT] for name in _items(item, "dtypes", MAX_PAIRS)],
        devices=[str(name)[:MAX_TEXT] for name in _items(item, "devices", MAX_PAIRS)],
        pid=_integer(item.get("pid")),
        offsets_s=[_number(offset) or 0.0 for offset in offsets_s],
        counts=[_integer(count) or 0 for count in counts],
    )


def _mapping(data: Any) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise ValueError(f"expected an object, got {type(data).__name__}")
    return data


def _items(data: Mapping[str, Any], name: str, most: int) -> list[Any]:
    items = data.get(name)
    if items is None:
        return []
    if not isinstance(items, list):
        raise ValueError(f"{name}: expected a list, got {type(items).__name__}")
    return items[:most]


def _texts(data: Any) -> dict[str, str]:
    pairs: Iterable[tuple[Any, Any]] = _mapping(data or {}).items()
    return {str(name)[:MAX_TEXT]: str(value)[:MAX_TEXT] for name, value in list(pairs)[:MAX_PAIRS]}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)[:MAX_TEXT]


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63 else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if math.isfinite(value) and abs(value) < 1e308 else None
