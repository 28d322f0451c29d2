"""Bounded series: they never grow past a number of samples, however long a task takes.

Past :data:`LIMIT` samples the resolution halves: two samples become one that keeps their mean (of a counter: the later
value), the smallest and the largest value. A 24-hour task costs no more memory than one of an hour.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from prov_worker.model import Column, Series

LIMIT = 4096
_NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Quantity:
    """What a column holds. ``counter`` values grow, so of two the later stands for both."""

    name: str
    unit: str
    subject: str = "task"
    counter: bool = False


class Buffer:
    """Rows of numbers over time, halved when they are too many.

    Args:
        quantities: what the numbers of a row are, in order.
        limit: most rows to keep, an even number.
    """

    __slots__ = (
        "_high",
        "_limit",
        "_low",
        "_mean",
        "_pending",
        "_stride",
        "_time",
        "last_ns",
        "longest_ns",
        "quantities",
        "taken",
    )

    def __init__(self, quantities: Sequence[Quantity], limit: int = LIMIT) -> None:
        self.quantities = quantities
        self._limit = limit
        self._stride = 1
        self._time = array("q")
        self._mean = [array("d") for _ in quantities]
        self._low: list[array[float]] | None = None
        self._high: list[array[float]] | None = None
        self._pending: list[tuple[int, Sequence[float]]] = []
        self.taken = 0
        self.last_ns = 0
        self.longest_ns = 0

    def __len__(self) -> int:
        return len(self._time)

    def add(self, time_ns: int, row: Sequence[float]) -> None:
        """Add a row; NaN stands for a value that could not be read."""
        if self.taken and time_ns - self.last_ns > self.longest_ns:
            self.longest_ns = time_ns - self.last_ns
        self.taken += 1
        self.last_ns = time_ns
        if self._stride == 1:
            self._time.append(time_ns)
            for column, value in zip(self._mean, row, strict=False):
                column.append(value)
        else:
            self._pending.append((time_ns, row))
            if len(self._pending) < self._stride:
                return
            self._fold()
        if len(self._time) >= self._limit:
            self._halve()

    def _fold(self) -> None:
        """Make one sample of those that wait for a full stride."""
        rows = [row for _, row in self._pending]
        self._time.append(self._pending[-1][0])
        self._pending.clear()
        assert self._low is not None
        assert self._high is not None
        for index, quantity in enumerate(self.quantities):
            known = [row[index] for row in rows if row[index] == row[index]]
            mean = (known[-1] if quantity.counter else sum(known) / len(known)) if known else _NAN
            self._mean[index].append(mean)
            self._low[index].append(min(known) if known else _NAN)
            self._high[index].append(max(known) if known else _NAN)

    def _halve(self) -> None:
        if self._low is None or self._high is None:
            self._low = [array("d", column) for column in self._mean]
            self._high = [array("d", column) for column in self._mean]
        self._time = self._time[1::2]
        for index, quantity in enumerate(self.quantities):
            mean, low, high = self._mean[index], self._low[index], self._high[index]
            self._mean[index] = mean[1::2] if quantity.counter else array("d", map(_mean, mean[::2], mean[1::2]))
            self._low[index] = array("d", map(_least, low[::2], low[1::2]))
            self._high[index] = array("d", map(_most, high[::2], high[1::2]))
        self._stride *= 2

    def series(self, start_ns: int, end_ns: int, interval_s: float) -> Series:
        """The samples within a span, as offsets from its start.

        Args:
            start_ns: begin of the span, on the clock that rows were added with.
            end_ns: end of the span.
            interval_s: distance of raw samples that was asked for.
        """
        if self._pending:
            self._fold()
        chosen = [i for i, t in enumerate(self._time) if start_ns <= t <= end_ns]
        everything = len(chosen) == len(self._time)
        taken = self.taken if everything else len(chosen) * self._stride
        columns = {}
        for index, quantity in enumerate(self.quantities):
            low = _chosen(self._low, index, chosen)
            high = _chosen(self._high, index, chosen)
            mean = [_known(self._mean[index][i]) for i in chosen]
            if any(value is not None for value in mean):
                columns[quantity.name] = Column(quantity.unit, mean, low, high, quantity.subject)
        return Series(
            interval_s=interval_s * self._stride,
            offset_s=[round((self._time[i] - start_ns) / 1e9, 4) for i in chosen],
            columns=columns,
            # one more where both ends were met
            expected=max(due := int((end_ns - start_ns) / 1e9 / interval_s), min(taken, due + 1)),
            taken=taken,
            longest_gap_s=round(self.longest_ns / 1e9, 4) if everything and self.taken > 1 else None,
        )


class History:
    """What a node did: the last minutes in full, and all of it at a resolution that falls as it grows old."""

    __slots__ = ("_all", "_interval_s", "_recent", "quantities")

    def __init__(
        self, quantities: Sequence[Quantity], interval_s: float, recent_s: float = 300.0, limit: int = LIMIT
    ) -> None:
        self.quantities = quantities
        self._interval_s = interval_s
        self._recent: deque[tuple[int, array[float]]] = deque(maxlen=max(16, int(recent_s / interval_s)))
        self._all = Buffer(quantities, limit)

    def add(self, time_ns: int, row: Sequence[float]) -> None:
        """Add a row, as :meth:`Buffer.add`."""
        self._recent.append((time_ns, array("d", row)))
        self._all.add(time_ns, row)

    def series(self, start_ns: int, end_ns: int, limit: int = 512) -> Series | None:
        """At most ``limit`` samples within a span, from the finest that reaches back to its start; None without any."""
        recent = self._recent
        if recent and (recent[0][0] <= start_ns or len(recent) < (recent.maxlen or 0)):
            span = [row for row in recent if start_ns <= row[0] <= end_ns]
            chosen = Buffer(self.quantities, limit)
            for time_ns, row in span:
                chosen.add(time_ns, row)
            series = chosen.series(start_ns, end_ns, self._interval_s)
        else:
            series = self._all.series(start_ns, end_ns, self._interval_s)
        return series if len(series) else None


def _known(value: float) -> float | int | None:
    if value != value:
        return None
    return int(value) if value == int(value) else round(value, 2)


def _chosen(columns: list[array[float]] | None, index: int, rows: list[int]) -> list[float | int | None] | None:
    return None if columns is None else [_known(columns[index][row]) for row in rows]


def _mean(a: float, b: float) -> float:
    if a != a:
        return b
    return a if b != b else (a + b) / 2


def _least(a: float, b: float) -> float:
    if a != a:
        return b
    return a if b != b else min(a, b)


def _most(a: float, b: float) -> float:
    if a != a:
        return b
    return a if b != b else max(a, b)
