"""Curves that user code notes: ``annotate(epoch=3, loss=0.2)``, again and again, is ``loss`` by epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from prov_worker.training import MAX_POINTS, Metric, TrackedRun, Training, thinned

#: The annotation by which the others are values of a curve.
EPOCH = "epoch"
#: What a run of such values is the work of, in the place of a tracker.
TOOL = "annotate"
#: Points of a metric that wait in memory; beyond it, they are thinned.
_MOST = 4 * MAX_POINTS


def is_finite(value: Any) -> bool:
    """Return whether a value is a number that a double can hold, and no truth value."""
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


class Epochs:
    """What one attempt noted with an epoch."""

    __slots__ = ("_counts", "_points")

    def __init__(self) -> None:
        self._points: dict[str, list[tuple[int, float, int]]] = {}
        self._counts: dict[str, int] = {}

    def add(self, values: Mapping[str, Any], time_ns: int) -> None:
        """Take the numbers of one call, if it has a whole number as its epoch.

        Args:
            values: annotations by key.
            time_ns: when they were noted, nanoseconds since the epoch of the clock, UTC.
        """
        epoch = values.get(EPOCH)
        if not isinstance(epoch, int) or isinstance(epoch, bool) or abs(epoch) >= 1 << 63:
            return
        for name, value in values.items():
            if name == EPOCH or not is_finite(value):
                continue
            points = self._points.setdefault(name, [])
            points.append((epoch, float(value), time_ns))
            self._counts[name] = self._counts.get(name, 0) + 1
            if len(points) > _MOST:
                points[:] = thinned(points, MAX_POINTS)

    def training(self, task_id: str) -> Training | None:
        """Return the curves as a run; None if there is none."""
        if not self._points:
            return None
        run = TrackedRun(TOOL, task_id)
        for name, points in self._points.items():
            metric = Metric.of(name, points)
            metric.count = self._counts[name]
            run.metrics.append(metric)
        return Training(runs=[run])
