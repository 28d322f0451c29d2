"""Two runs side by side: the same calls in both, what each took, and what they ran in.

A task is matched by its function's name and the content of its arguments (their hashes, or values that were recorded),
not by its id, which is another one each time. Calls that are alike several times are matched in the order of their
starts.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from prov_worker.crate.reader import StepCrate
from prov_worker.crate.summary import RunStep, StepValue
from prov_worker.errors import CrateError
from prov_worker.training import Training

#: What is compared of the environments of two runs.
_FACTS = ("host", "cpu_model", "gpu_model", "container", "user", "endpoint_name")
#: What libraries report of an attempt.
TrainingOf = Callable[[RunStep], Training]
_Call = tuple[str, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Figures:
    """One function in one run, over the latest attempts at its tasks; None if no attempt says it.

    Attributes:
        tasks, failed: counted.
        attempts: of all tasks, earlier ones too.
        wall_s, cpu_s: medians, in seconds.
        peak_rss_bytes: median.
        wall_sum_s: of all attempts.
    """

    tasks: int = 0
    failed: int = 0
    attempts: int = 0
    wall_s: float | None = None
    cpu_s: float | None = None
    peak_rss_bytes: float | None = None
    wall_sum_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Pair:
    """A call that both runs made: the ids of its tasks, and what differs.

    Attributes:
        function: its name.
        first, second: task ids.
        change: ``failed`` (it completed in the first run), ``completed`` (it failed there) or ``result`` (both
            completed, with results of different content).
        detail: the error, or nothing.
    """

    function: str
    first: str
    second: str
    change: str
    detail: str = ""


@dataclass(slots=True)
class Comparison:
    """Two runs.

    Attributes:
        functions: by name, figures of the first and of the second run; None if it has no such task.
        matched: number of calls that both made.
        slower: median over the matched calls that completed in both of the second's wall time over the first's; None
            without any.
        changes: of matched calls.
        only_first, only_second: number of calls by function that the other run has not made.
        unmatched: number of tasks whose arguments have no recorded content, so that they can be matched with none.
        environments: by name of a fact, its values in the first and in the second run, if they differ.
        parameters: of runs that trackers know, by ``function: name``, its values in both, if they differ.
        metrics: likewise, the medians of their last values; None if that run has no such metric.
        packages: the same of the versions of packages, of runs whose environments have bills of materials.
    """

    functions: dict[str, tuple[Figures | None, Figures | None]] = field(default_factory=dict)
    matched: int = 0
    slower: float | None = None
    changes: list[Pair] = field(default_factory=list)
    only_first: dict[str, int] = field(default_factory=dict)
    only_second: dict[str, int] = field(default_factory=dict)
    unmatched: int = 0
    environments: dict[str, tuple[list[str], list[str]]] = field(default_factory=dict)
    parameters: dict[str, tuple[list[str], list[str]]] = field(default_factory=dict)
    metrics: dict[str, tuple[float | None, float | None]] = field(default_factory=dict)
    packages: dict[str, tuple[list[str], list[str]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Task:
    """What is kept of a task: its latest attempt."""

    task_id: str
    began_ns: int
    attempt: int
    failed: bool
    error: str
    wall_s: float | None
    cpu_s: float | None
    peak_rss_bytes: int | None
    result: Any


class _Side:
    """One run, read once."""

    def __init__(self, steps: Iterable[RunStep], training_of: TrainingOf) -> None:
        self._latest: dict[str, tuple[_Call | None, str, _Task]] = {}
        self._attempts: Counter[str] = Counter()
        self._wall_s: defaultdict[str, float] = defaultdict(float)
        self.facts: dict[str, set[str]] = defaultdict(set)
        self.parameters: dict[str, set[str]] = defaultdict(set)
        self._metrics: dict[str, list[float]] = defaultdict(list)
        for step in steps:
            self._add(step)
            for run in training_of(step).runs:
                for name, value in run.parameters.items():
                    self.parameters[f"{step.function}: {name}"].add(value)
                for metric in run.metrics:
                    if metric.last is not None and math.isfinite(metric.last):
                        self._metrics[f"{step.function}: {metric.name}"].append(metric.last)

    def metrics(self) -> dict[str, float]:
        """Return the median of the last values of each metric."""
        return {name: statistics.median(values) for name, values in self._metrics.items()}

    def _add(self, step: RunStep) -> None:
        self._attempts[step.function] += 1
        self._wall_s[step.function] += step.wall_s or 0.0
        for name in _FACTS:
            if (value := getattr(step, name)) is not None:
                self.facts[name.replace("_name", "").replace("_", " ")].add(str(value))
        for name, version in step.versions.items():
            self.facts[name].add(version)
        if step.software_sha256 is not None:
            self.facts["software"].add(step.software_sha256[:12])
        if step.function_sha256 is not None:
            self.facts[f"code of {step.function}"].add(step.function_sha256[:12])
        before = self._latest.get(step.task_id)
        if before is not None and (before[2].attempt, before[2].began_ns) > (step.attempt, step.began_ns):
            return
        task = _Task(
            step.task_id,
            step.began_ns,
            step.attempt,
            step.failed,
            step.error or "",
            step.wall_s,
            step.cpu_s,
            step.peak_rss_bytes,
            _contents(step.results),
        )
        arguments = _contents(step.arguments)
        call = None if arguments is None else (step.function, arguments)
        self._latest[step.task_id] = call, step.function, task

    def calls(self) -> dict[_Call, deque[_Task]]:
        """Return the tasks of each call, by start."""
        calls: dict[_Call, deque[_Task]] = defaultdict(deque)
        for call, _, task in sorted(self._latest.values(), key=lambda entry: (entry[2].began_ns, entry[2].task_id)):
            if call is not None:
                calls[call].append(task)
        return calls

    @property
    def unmatched(self) -> int:
        """Number of tasks that belong to no call."""
        return sum(call is None for call, _, _ in self._latest.values())

    def figures(self) -> dict[str, Figures]:
        """Return the figures of each function."""
        tasks: dict[str, list[_Task]] = defaultdict(list)
        for _, function, task in self._latest.values():
            tasks[function].append(task)
        return {
            function: Figures(
                len(some),
                sum(task.failed for task in some),
                self._attempts[function],
                _median(task.wall_s for task in some),
                _median(task.cpu_s for task in some),
                _median(task.peak_rss_bytes for task in some),
                self._wall_s[function],
            )
            for function, some in tasks.items()
        }


def _nothing(step: RunStep) -> Training:
    return Training()


def compare(
    first: Iterable[RunStep], second: Iterable[RunStep], trainings: tuple[TrainingOf, TrainingOf] = (_nothing, _nothing)
) -> Comparison:
    """Compare two runs.

    Args:
        first: attempts of the one, in any order.
        second: attempts of the other.
        trainings: what gives for an attempt of either, as it is read, what libraries report of it.
    """
    side, other = _Side(first, trainings[0]), _Side(second, trainings[1])
    result = Comparison(unmatched=side.unmatched + other.unmatched)
    before, after = side.figures(), other.figures()
    result.functions = {name: (before.get(name), after.get(name)) for name in sorted({*before, *after})}
    ratios: list[float] = []
    calls, others = side.calls(), other.calls()
    for call, tasks in calls.items():
        counterparts = others.get(call, deque())
        while tasks and counterparts:
            _match(result, ratios, call[0], tasks.popleft(), counterparts.popleft())
    result.slower = statistics.median(ratios) if ratios else None
    result.only_first, result.only_second = _left(calls), _left(others)
    result.environments = _differing(side.facts, other.facts)
    result.parameters = _differing(side.parameters, other.parameters)
    metrics, other_metrics = side.metrics(), other.metrics()
    result.metrics = {name: (metrics.get(name), other_metrics.get(name)) for name in sorted({*metrics, *other_metrics})}
    return result


def _differing(values: dict[str, set[str]], others: dict[str, set[str]]) -> dict[str, tuple[list[str], list[str]]]:
    """Return what has other values in the other run, by name."""
    return {
        name: (sorted(values.get(name, ())), sorted(others.get(name, ())))
        for name in sorted({*values, *others})
        if values.get(name) != others.get(name)
    }


def packages_of(crate: StepCrate) -> dict[str, str]:
    """Return the versions of the packages of a step's environment, by name; empty if its crate does not say."""
    try:
        environment = crate.hardware().get("probes", {}).get("environment", {})
        packages = environment["data"]["distributions"]
        return {str(name): str(version) for name, version in packages.items()}
    except (CrateError, LookupError, AttributeError, TypeError):
        return {}


def compare_packages(
    first: Iterable[Mapping[str, str]], second: Iterable[Mapping[str, str]]
) -> dict[str, tuple[list[str], list[str]]]:
    """Return the versions of each package that are not the same in two runs, by name.

    Args:
        first: packages of each environment of the one run.
        second: of the other.
    """
    sides: list[dict[str, set[str]]] = []
    for environments in (first, second):
        versions: dict[str, set[str]] = defaultdict(set)
        for packages in environments:
            for name, version in packages.items():
                versions[name].add(version)
        sides.append(versions)
    return _differing(*sides)


def _match(result: Comparison, ratios: list[float], function: str, task: _Task, other: _Task) -> None:
    result.matched += 1
    if task.failed != other.failed:
        change, error = ("failed", other.error) if other.failed else ("completed", task.error)
        result.changes.append(Pair(function, task.task_id, other.task_id, change, error))
    elif not task.failed:
        if task.wall_s and other.wall_s:
            ratios.append(other.wall_s / task.wall_s)
        if task.result is not None and other.result is not None and task.result != other.result:
            result.changes.append(Pair(function, task.task_id, other.task_id, "result"))


def _left(calls: dict[_Call, deque[_Task]]) -> dict[str, int]:
    left: Counter[str] = Counter()
    for (function, _), tasks in calls.items():
        left[function] += len(tasks)
    return {function: count for function, count in sorted(left.items()) if count}


def _contents(values: Iterable[StepValue]) -> tuple[Any, ...] | None:
    """Return what identifies the content of values; None if it was not recorded of one of them."""
    contents = []
    for value in values:
        if value.sha256 is not None:
            contents.append((value.name, value.type, value.sha256))
        elif value.recorded and value.value is not None:
            contents.append((value.name, value.type, str(value.value)))
        elif value.type == "NoneType":
            contents.append((value.name, value.type, ""))
        else:
            return None
    return tuple(sorted(contents))


def _median(values: Iterable[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return statistics.median(numbers) if numbers else None
