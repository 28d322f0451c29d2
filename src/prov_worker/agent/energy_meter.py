"""Joules of the node over any span of time, from counters that are read now and then."""

from __future__ import annotations

import os
from collections.abc import Sequence

from prov_worker.agent.buffers import History, Quantity
from prov_worker.model import Energy
from prov_worker.probes.energy import EnergyCounter, open_counters
from prov_worker.probes.energy.base import CPU, NODE

INTERVAL_S = 0.25
#: While nothing runs: no counter that starts again does so twice within this, at any power that a node can draw.
_IDLE_INTERVAL_S = 30.0
#: Largest share of a span whose beginning was not counted.
_UNSEEN_SHARE = 0.1
_IDLE, _IOWAIT = 3, 4


class EnergyMeter:
    """Readings of all counters of this node. It costs nothing on a node that has none.

    Args:
        counters: open ones; None takes this machine's.
        stat: the file of the kernel's times, as ``/proc/stat`` (proc(5)).
    """

    def __init__(self, counters: Sequence[EnergyCounter] | None = None, stat: str = "/proc/stat") -> None:
        self._counters = open_counters().counters if counters is None else list(counters)
        self._due_ns = 0
        self._stat = -1
        if not self._counters:
            return
        self._stat = os.open(stat, os.O_RDONLY | os.O_CLOEXEC)
        quantities = [Quantity(counter.subject, "joule", "node", counter=True) for counter in self._counters]
        quantities += [Quantity(name, "count", "node", counter=True) for name in ("idle", "all")]
        self._history = History(quantities, INTERVAL_S, limit=1024)

    def tick(self, mono_ns: int, *, busy: bool) -> None:
        """Read the counters if that is due.

        Args:
            mono_ns: now, CLOCK_MONOTONIC.
            busy: whether a task runs.
        """
        if self._counters and mono_ns >= self._due_ns:
            self._due_ns = mono_ns + int((INTERVAL_S if busy else _IDLE_INTERVAL_S) * 1e9)
            self._history.add(mono_ns, self._row())

    def between(self, start_ns: int, end_ns: int) -> Energy | None:
        """Return what the node drew within a span; None if nothing counts, or if its beginning was not counted.

        A task may begin a moment before the agent's first reading: then the span is that from this reading on.

        Args:
            start_ns: its begin, CLOCK_MONOTONIC.
            end_ns: its end: no later than now.
        """
        if not self._counters or end_ns <= start_ns:
            return None
        if end_ns > self._history.last_ns:
            self._history.add(end_ns, self._row())
        unseen_ns = max(0, self._history.first_ns - start_ns)
        if unseen_ns > _UNSEEN_SHARE * (end_ns - start_ns):
            return None
        start_ns += unseen_ns
        grown = self._history.grown(start_ns, end_ns)
        if grown is None:
            return None
        *joules, idle, ticks = grown
        by_subject = {
            counter.subject: value for counter, value in zip(self._counters, joules, strict=True) if value == value
        }
        idle_share = min(1.0, max(0.0, idle / ticks)) if ticks > 0 else None
        return Energy((end_ns - start_ns) / 1e9, by_subject.get(NODE), by_subject.get(CPU), idle_share)

    def close(self) -> None:
        """Close all files."""
        for counter in self._counters:
            counter.close()
        if self._stat >= 0:
            os.close(self._stat)
        self._counters, self._stat = [], -1

    def _row(self) -> list[float]:
        joules = [counter.read() for counter in self._counters]
        return [*(float("nan") if value is None else value for value in joules), *self._times()]

    def _times(self) -> tuple[float, float]:
        """Return ticks of all CPUs in which there was nothing to do, and all of them."""
        fields = [int(word) for word in os.pread(self._stat, 256, 0).split(b"\n", 1)[0].split()[1:9]]
        return float(fields[_IDLE] + fields[_IOWAIT]), float(sum(fields))
