"""Bounded series: they never grow past a number of samples, however long a task takes.

Past :data:`LIMIT` samples the resolution halves: two samples become one that keeps their mean (of a counter: the later
value), the smallest and the largest value. A 24-hour task costs no more memory than one of an hour.
Samples of a task at rest are alike: what they say is kept once.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import sub

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
    """Rows of numbers over time, halved when they are too many. Rows that are alike share their numbers.

    Args:
        quantities: what the numbers of a row are, in order.
        limit: most rows to keep, an even number.
    """

    __slots__ = (
        "_high",
        "_limit",
        "_low",
        "_mean",
        "_number",
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
        # of each moment, which row of numbers it has; and row after row in one array: adding a row is one call
        self._number = array("I")
        self._mean = array("d")
        self._low: array[float] | None = None
        self._high: array[float] | None = None
        self._pending: list[tuple[int, Sequence[float]]] = []
        self.taken = 0
        self.last_ns = 0
        self.longest_ns = 0

    def __len__(self) -> int:
        return len(self._time)

    def add(self, time_ns: int, row: Sequence[float]) -> None:
        """Add a row, a value for each quantity; NaN stands for a value that could not be read."""
        if self.taken and time_ns - self.last_ns > self.longest_ns:
            self.longest_ns = time_ns - self.last_ns
        self.taken += 1
        self.last_ns = time_ns
        if self._stride == 1:
            self._time.append(time_ns)
            self._number.append(len(self._mean) // len(self.quantities))
            self._mean.extend(row)
        else:
            self._pending.append((time_ns, row))
            if len(self._pending) < self._stride:
                return
            self._fold()
        if len(self._time) >= self._limit:
            self._halve()

    def add_alike(self, times_ns: Sequence[int], row: Sequence[float]) -> None:
        """Add the same row for each of some moments, as :meth:`add`; the quicker the more they are."""
        if self._stride != 1 or len(self._time) + len(times_ns) >= self._limit or not times_ns:
            for time_ns in times_ns:
                self.add(time_ns, row)
            return
        before_ns = self.last_ns if self.taken else times_ns[0]
        self.longest_ns = max(self.longest_ns, *map(sub, times_ns, (before_ns, *times_ns)))
        self.taken += len(times_ns)
        self.last_ns = times_ns[-1]
        self._time.extend(times_ns)
        self._number.extend(array("I", (self._alike(row),)) * len(times_ns))

    def _alike(self, row: Sequence[float]) -> int:
        """Return the number of a row that all values of a sample are of: the last one if they are the same."""
        values, width = array("d", row), len(self.quantities)
        count = len(self._mean) // width
        columns = [column for column in (self._mean, self._low, self._high) if column is not None]
        # as bytes, since NaN is not equal to itself
        if count and all(column[-width:].tobytes() == values.tobytes() for column in columns):
            return count - 1
        for column in columns:
            column.extend(values)
        return count

    def _fold(self) -> None:
        """Make one sample of those that wait for a full stride."""
        rows = [row for _, row in self._pending]
        self._time.append(self._pending[-1][0])
        self._pending.clear()
        if all(row is rows[0] for row in rows):
            self._number.append(self._alike(rows[0]))
            return
        self._number.append(len(self._mean) // len(self.quantities))
        assert self._low is not None
        assert self._high is not None
        for index, quantity in enumerate(self.quantities):
            values = [row[index] for row in rows if row[index] == row[index]]
            mean = (values[-1] if quantity.counter else sum(values) / len(values)) if values else _NAN
            self._mean.append(mean)
            self._low.append(min(values) if values else _NAN)
            self._high.append(max(values) if values else _NAN)

    def _halve(self) -> None:
        low = array("d", self._mean) if self._low is None else self._low
        high = array("d", self._mean) if self._high is None else self._high
        self._time = self._time[1::2]
        pairs = list(zip(self._number[::2], self._number[1::2], strict=True))
        numbers = {pair: number for number, pair in enumerate(dict.fromkeys(pairs))}
        self._number = array("I", map(numbers.__getitem__, pairs))
        width, size = len(self.quantities), len(numbers) * len(self.quantities)
        means, lows, highs = array("d", bytes(8 * size)), array("d", bytes(8 * size)), array("d", bytes(8 * size))
        for index, quantity in enumerate(self.quantities):
            column = slice(index, None, width)
            mean, least, most = self._mean[column], low[column], high[column]
            if quantity.counter:
                means[column] = array("d", [mean[odd] for _, odd in numbers])
            else:
                means[column] = array("d", [_mean(mean[even], mean[odd]) for even, odd in numbers])
            lows[column] = array("d", [_least(least[even], least[odd]) for even, odd in numbers])
            highs[column] = array("d", [_most(most[even], most[odd]) for even, odd in numbers])
        self._mean, self._low, self._high = means, lows, highs
        self._stride *= 2

    def around(
        self, time_ns: int, first: tuple[int, array[float]]
    ) -> tuple[tuple[int, array[float]], tuple[int, array[float]]] | None:
        """Return the rows before and after a moment, each with its time; None if it is after the last one.

        Args:
            time_ns: the moment, no earlier than ``first``.
            first: the first row of all.
        """
        index, width = bisect_right(self._time, time_ns), len(self.quantities)
        if index >= len(self._time):
            return None
        earlier, later = (
            (self._time[place], self._mean[self._number[place] * width : (self._number[place] + 1) * width])
            for place in (index - 1, index)
        )
        return (earlier if index else first), later

    def series(self, start_ns: int, end_ns: int, interval_s: float) -> Series:
        """Return the samples within a span, as offsets from its start.

        Args:
            start_ns: beginning of the span, on the clock that rows were added with.
            end_ns: end of the span.
            interval_s: distance of raw samples that was asked for.
        """
        if self._pending:
            self._fold()
        first, last = bisect_left(self._time, start_ns), bisect_right(self._time, end_ns)
        everything = last - first == len(self._time)
        numbers, width = self._number[first:last], len(self.quantities)
        begin, end = (numbers[0], numbers[-1] + 1) if numbers else (0, 0)
        places = [number - begin for number in numbers]
        columns = {}
        for index, quantity in enumerate(self.quantities):
            column = slice(begin * width + index, end * width, width)
            mean = _known(self._mean[column], places)
            if any(value is not None for value in mean):
                low = None if self._low is None else _known(self._low[column], places)
                high = None if self._high is None else _known(self._high[column], places)
                columns[quantity.name] = Column(quantity.unit, mean, low, high, quantity.subject)
        return Series(
            interval_s=interval_s * self._stride,
            offset_s=[round((time_ns - start_ns) / 1e9, 4) for time_ns in self._time[first:last]],
            columns=columns,
            expected=int((end_ns - start_ns) / 1e9 / interval_s),
            taken=self.taken if everything else (last - first) * self._stride,
            longest_gap_s=round(self.longest_ns / 1e9, 4) if everything and self.taken > 1 else None,
        )


class History:
    """What a node did: the last minutes in full, and all of it at a resolution that falls as it grows old."""

    __slots__ = ("_all", "_first", "_recent", "interval_s", "quantities")

    def __init__(
        self, quantities: Sequence[Quantity], interval_s: float, recent_s: float = 300.0, limit: int = LIMIT
    ) -> None:
        self.quantities = quantities
        self.interval_s = interval_s
        #: Kept, though samples that two become one of are known by the later moment.
        self._first: tuple[int, array[float]] | None = None
        self._recent: deque[tuple[int, array[float]]] = deque(maxlen=max(16, int(recent_s / interval_s)))
        self._all = Buffer(quantities, limit)

    def add(self, time_ns: int, row: Sequence[float]) -> None:
        """Add a row, as :meth:`Buffer.add`; one that is not later than the last one is left out."""
        if self._recent and time_ns <= self._recent[-1][0]:
            return
        entry = (time_ns, array("d", row))
        if self._first is None:
            self._first = entry
        self._recent.append(entry)
        self._all.add(time_ns, row)

    @property
    def first_ns(self) -> int:
        """When the first row of all was read; 0 if there is none."""
        return self._first[0] if self._first is not None else 0

    @property
    def last_ns(self) -> int:
        """When the last row was read; 0 if there is none."""
        return self._recent[-1][0] if self._recent else 0

    def latest(self) -> list[float]:
        """Return the last row; empty if there is none."""
        return list(self._recent[-1][1]) if self._recent else []

    def grown(self, start_ns: int, end_ns: int) -> list[float] | None:
        """Return how much counters grew within a span; NaN if one was not read, None if it reaches beyond the readings.

        Between two readings a counter is taken to grow evenly.
        """
        before, after = self._at(start_ns), self._at(end_ns)
        if before is None or after is None:
            return None
        return [later - earlier for earlier, later in zip(before, after, strict=True)]

    def _at(self, time_ns: int) -> list[float] | None:
        recent = self._recent
        if recent and recent[0][0] <= time_ns <= recent[-1][0]:
            index = bisect_right(recent, time_ns, key=lambda row: row[0])
            later, earlier = recent[min(index, len(recent) - 1)], recent[index - 1]
        else:
            first = self._first
            if first is None or time_ns < first[0]:
                return None
            pair = self._all.around(time_ns, first)
            if pair is None:
                return None
            earlier, later = pair
        share = (time_ns - earlier[0]) / (later[0] - earlier[0]) if later[0] > earlier[0] else 0.0
        return [low + share * (high - low) for low, high in zip(earlier[1], later[1], strict=True)]

    def series(self, start_ns: int, end_ns: int, limit: int = 512) -> Series | None:
        """Return at most ``limit`` samples of a span, from the finest that reaches back to its start; None if none."""
        recent = self._recent
        if recent and (recent[0][0] <= start_ns or len(recent) < (recent.maxlen or 0)):
            span = []
            for row in reversed(recent):  # a task that has just ended is at the end, however long the history
                if row[0] < start_ns:
                    break
                if row[0] <= end_ns:
                    span.append(row)
            chosen = Buffer(self.quantities, limit)
            for time_ns, values in reversed(span):
                chosen.add(time_ns, values)
            series = chosen.series(start_ns, end_ns, self.interval_s)
        else:
            series = self._all.series(start_ns, end_ns, self.interval_s)
        return series if len(series) else None


def _known(values: Sequence[float], places: Iterable[int]) -> list[float | int | None]:
    """Return the values at some places as a series holds them: whole numbers as such, NaN as None."""
    shown = [None if x != x else int(x) if x.is_integer() else round(x, 2) for x in values]
    return [shown[place] for place in places]


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
