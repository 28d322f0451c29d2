"""What a worker's settings ask of the sampler, and what of the samples belongs to a task that asked for less.

The settings stand in the first line of the worker's journal. It may lie on a file system that hangs, so it is read in a
thread of its own; until it is known, a worker is sampled as by default, and what it did not ask for is taken out of its
series before the crate is written.
"""

from __future__ import annotations

import json
import os
import queue
import threading
from collections import deque
from dataclasses import dataclass, replace
from itertools import pairwise

from prov_worker.errors import ProvWorkerError
from prov_worker.model import Column, Series, TaskSeries
from prov_worker.settings import Settings, Telemetry

#: Types that are read of the worker's own processes, by the columns they fill.
TASK_KINDS = {
    "cpu_percent": "cpu",
    "rss_bytes": "memory",
    "threads": "threads",
    "read_chars": "io",
    "written_chars": "io",
    "children": "children",
    "children_rss_bytes": "children",
}
_LONGEST_LINE = 1 << 20


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
    def of(cls, telemetry: Telemetry, poll_interval: float) -> Plan:
        """The plan that settings make."""
        kinds = dict.fromkeys(TASK_KINDS.values())
        task = {kind: telemetry.interval_s(kind, poll_interval) for kind in kinds}
        node, per_cpu, gpu = (telemetry.interval_s(kind, poll_interval) for kind in ("node", "per_cpu", "gpu"))
        return cls({kind: value for kind, value in task.items() if value is not None}, node, per_cpu, gpu)

    @property
    def row_s(self) -> float | None:
        """Seconds between samples of the task; None where nothing of it is sampled."""
        return min(self.task.values(), default=None)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a journal said: ``telemetry`` is None while it says nothing."""

    slot: str
    start: int
    telemetry: Telemetry | None


class PlanReader:
    """Reads the settings of workers from their journals, without ever keeping the sampler waiting.

    Args:
        runtime: the runtime directory, in which a journal lies that could not be written elsewhere.
    """

    def __init__(self, runtime: str) -> None:
        self._runtime = runtime
        self._questions: queue.SimpleQueue[tuple[str, int, str] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.answers: deque[Answer] = deque()

    def ask(self, slot: str, start: int, journal: str) -> None:
        """Have a journal read; the answer comes to :attr:`answers`."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="settings", daemon=True)
            self._thread.start()
        self._questions.put((slot, start, journal))

    def close(self) -> None:
        """Stop reading; does not wait for a file system that hangs."""
        self._questions.put(None)

    def _run(self) -> None:
        while (question := self._questions.get()) is not None:
            slot, start, journal = question
            telemetry = None
            for path in (journal, os.path.join(self._runtime, "spool", os.path.basename(journal))):
                telemetry = telemetry or telemetry_of(path)
            self.answers.append(Answer(slot, start, telemetry))


def telemetry_of(journal: str) -> Telemetry | None:
    """What the settings of a journal's worker ask for; None where no line tells, the default where it is bad."""
    try:
        with open(journal, "rb") as file:
            line = file.readline(_LONGEST_LINE)
        worker = json.loads(line) if line.endswith(b"\n") else None
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(worker, dict) or worker.get("t") != "worker":
        return None
    try:
        return Settings.from_mapping(worker.get("settings")).telemetry
    except ProvWorkerError:
        return Telemetry()  # the finaliser says so in the log


def restrict(series: TaskSeries, telemetry: Telemetry, wall_time_s: float) -> None:
    """Take out of the series of a task what its settings did not ask for.

    Args:
        series: changed in place. A column that is read more slowly than the others holds None in between.
        telemetry: what was asked for.
        wall_time_s: seconds that the task took.
    """
    if not telemetry.to_mapping():
        return
    for base, one in list(series.all()):
        setattr(series, base, _restricted(base, one, telemetry, wall_time_s))


def _restricted(base: str, series: Series, telemetry: Telemetry, wall_time_s: float) -> Series | None:
    columns: dict[str, Column] = {}
    intervals: dict[str, float] = {}
    for name, column in series.columns.items():
        asked = getattr(telemetry, _kind(base, name, column))
        if asked is False:
            continue
        if asked is not True:
            column = _thinned(column, series, asked)
        if any(value is not None for value in column.mean):
            columns[name] = column
            intervals[name] = series.interval_s if asked is True else max(asked, series.interval_s)
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
    """A column with a value each ``interval_s`` and None in between."""
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
