"""Rows of samples, held back for a moment, so that CPU time that is seen late still counts for when it was used.

A child is found up to a quarter of a second after its start, and one that is waited for before it is found shows only
in its parent's counters. Without this, what it used since its start would fall into the last 50 ms.
"""

from __future__ import annotations

import os
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Sequence

from prov_worker.agent.buffers import Buffer

#: A little longer than the distance of looks for children.
HOLD_NS = 400_000_000
#: So many rows that are alike are settled at once.
_MOST_IDLE = 32
_NAN = float("nan")


class _Row:
    __slots__ = ("from_ns", "to_ns", "used_ns", "values")

    def __init__(self, from_ns: int, to_ns: int, values: Sequence[float]) -> None:
        self.from_ns, self.to_ns, self.used_ns, self.values = from_ns, to_ns, 0, values


class HeldRows:
    """Adds rows to a buffer once their CPU time is settled.

    Args:
        buffer: its first two quantities are CPU use in percent and CPU time in ns since the start; both are filled in.
        start_ns: start of the task, CLOCK_MONOTONIC.

    Attributes:
        used_ns: CPU time so far.
    """

    def __init__(self, buffer: Buffer, start_ns: int) -> None:
        self.buffer = buffer
        self._rows: deque[_Row] = deque()
        self._edge_ns = start_ns
        self._total_ns = 0
        self._excess_ns = 0
        #: Moments of rows that are alike, after all others: without CPU time, and with the same values.
        self._idle_ns: list[int] = []
        self._idle_values: Sequence[float] | None = None
        self._most = len(os.sched_getaffinity(0)) or 1  # the agent may run on every CPU that is online
        self.used_ns = 0

    def add(self, now_ns: int, values: Sequence[float], charges: Iterable[tuple[int, int, int]] | None) -> None:
        """Add a row.

        Args:
            now_ns: when it was taken.
            values: of the quantities after the first two; they are not changed afterwards.
            charges: (ns of CPU time, from when until when it was used); None if CPU time is not read this time.
        """
        if self._idle_ns:
            self._spread()
        row = _Row(self._edge_ns if charges is not None else now_ns, now_ns, values)
        self._rows.append(row)
        if charges is not None:
            self._edge_ns = now_ns
            for used_ns, since_ns, until_ns in charges:
                if since_ns >= row.from_ns:  # as of the worker itself, each time
                    row.used_ns += used_ns
                    self.used_ns += used_ns
                else:
                    self._share_out(used_ns, since_ns, until_ns)
        self._settle_before(now_ns - HOLD_NS)

    def add_idle(self, now_ns: int, values: Sequence[float]) -> None:
        """Add a row, as :meth:`add`, in whose time no CPU time was used.

        Of the same values again, which must be the same object, only the moment is kept, until there are many.
        """
        if values is not self._idle_values:
            self._spread()
            self._idle_values = values
        self._idle_ns.append(now_ns)
        if len(self._idle_ns) >= _MOST_IDLE:
            self._settle_idle(now_ns - HOLD_NS)

    def _settle_idle(self, settled_ns: int) -> None:
        """Settle what may be settled of the rows that are alike."""
        rows, times_ns, values = self._rows, self._idle_ns, self._idle_values
        while rows and rows[0].to_ns < settled_ns:
            self._settle(rows.popleft())
        count = bisect_left(times_ns, settled_ns)
        if rows or self._excess_ns or values is None or not count:
            return
        self._edge_ns = times_ns[count - 1]
        self.buffer.add_alike(times_ns[:count], array("d", (0.0, self._total_ns, *values)))
        del times_ns[:count]

    def _spread(self) -> None:
        """Make single rows of those that are alike."""
        values = self._idle_values
        if values is not None:
            for now_ns in self._idle_ns:
                self._rows.append(_Row(self._edge_ns, now_ns, values))
                self._edge_ns = now_ns
            self._idle_ns.clear()

    def _settle_before(self, settled_ns: int) -> None:
        rows = self._rows
        while rows[0].to_ns < settled_ns:
            self._settle(rows.popleft())

    def last(self) -> Sequence[float]:
        """Return the values of the row that was added last; empty if none was, or all are settled."""
        if self._idle_ns and self._idle_values is not None:
            return self._idle_values
        return self._rows[-1].values if self._rows else ()

    def flush(self) -> None:
        """Settle all that is held back."""
        self._spread()
        while self._rows:
            self._settle(self._rows.popleft())

    def _share_out(self, used_ns: int, since_ns: int, until_ns: int) -> None:
        self.used_ns += used_ns
        spans = [row for row in self._rows if row.to_ns > row.from_ns]
        until_ns = min(max(until_ns, spans[0].from_ns + 1), spans[-1].to_ns)
        since_ns = min(max(since_ns, spans[0].from_ns), until_ns - 1)
        left = used_ns
        for row in spans:
            overlap = min(row.to_ns, until_ns) - max(row.from_ns, since_ns)
            if overlap > 0:
                part = left if row.to_ns >= until_ns else used_ns * overlap // (until_ns - since_ns)
                row.used_ns += part
                left -= part

    def _settle(self, row: _Row) -> None:
        length_ns = row.to_ns - row.from_ns
        if length_ns <= 0:
            self.buffer.add(row.to_ns, (_NAN, _NAN, *row.values))
            return
        # the CPU time of waited-for children comes in ticks of 10 ms: what is more than there can be is of the next row
        used_ns = min(row.used_ns + self._excess_ns, length_ns * self._most)
        self._excess_ns += row.used_ns - used_ns
        self._total_ns += used_ns
        self.buffer.add(row.to_ns, (100.0 * used_ns / length_ns, self._total_ns, *row.values))
