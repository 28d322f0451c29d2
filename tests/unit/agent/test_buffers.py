"""Bounded series: what is kept when there are too many samples, and what a span of them is."""

from __future__ import annotations

import math
import tracemalloc

import pytest

from prov_worker.agent.buffers import Buffer, History, Quantity

QUANTITIES = (Quantity("load", "percent"), Quantity("read", "byte", counter=True))
SECOND = 1_000_000_000


def filled(count: int, limit: int) -> Buffer:
    """Second n has the load n % 10 and has read 100 * n."""
    buffer = Buffer(QUANTITIES, limit)
    for number in range(count):
        buffer.add(number * SECOND, (float(number % 10), 100.0 * number))
    return buffer


def test_rows_become_columns() -> None:
    series = filled(5, 100).series(0, 4 * SECOND, 1.0)
    assert series.offset_s == [0, 1, 2, 3, 4]
    assert series.columns["load"].mean == [0, 1, 2, 3, 4]
    assert series.columns["read"].mean == [0, 100, 200, 300, 400]
    assert series.columns["load"].low is None
    assert (series.expected, series.taken, series.longest_gap_s, series.interval_s) == (4, 5, 1.0, 1.0)


def test_a_span_takes_both_ends_and_nothing_else() -> None:
    series = filled(10, 100).series(3 * SECOND, 6 * SECOND, 1.0)
    assert series.offset_s == [0, 1, 2, 3]
    assert series.columns["read"].mean == [300, 400, 500, 600]
    assert series.taken == 4


def test_halving_keeps_the_mean_both_extremes_and_the_later_counter() -> None:
    series = filled(8, 8).series(0, 7 * SECOND, 1.0)
    assert series.interval_s == 2.0
    assert series.offset_s == [1, 3, 5, 7]
    load = series.columns["load"]
    assert load.mean == [0.5, 2.5, 4.5, 6.5]
    assert load.low == [0, 2, 4, 6]
    assert load.high == [1, 3, 5, 7]
    assert series.columns["read"].mean == [100, 300, 500, 700]
    assert series.columns["read"].low == [0, 200, 400, 600]


@pytest.mark.parametrize("count", [9, 33, 1000, 4097])
def test_a_long_series_stays_bounded_and_true(count: int) -> None:
    series = filled(count, 8).series(0, count * SECOND, 1.0)
    assert 4 <= len(series) <= 9
    assert series.taken == count
    load, read = series.columns["load"], series.columns["read"]
    assert load.extremes() == (0, min(9, count - 1))
    assert read.mean[-1] == 100 * (count - 1)
    assert read.mean == sorted(value for value in read.mean if value is not None)
    assert load.low is not None
    assert load.high is not None
    assert all(low <= mean <= high for low, mean, high in zip(load.low, load.mean, load.high, strict=True))  # type: ignore[operator]


def test_what_could_not_be_read_is_none_and_an_empty_column_is_left_out() -> None:
    buffer = Buffer(QUANTITIES, 100)
    buffer.add(0, (math.nan, math.nan))
    buffer.add(SECOND, (1.25, math.nan))
    series = buffer.series(0, SECOND, 1.0)
    assert series.columns["load"].mean == [None, 1.25]
    assert "read" not in series.columns


def test_what_could_not_be_read_does_not_hide_its_neighbour() -> None:
    buffer = Buffer(QUANTITIES, 4)
    for number, load in enumerate((math.nan, 4.0, 2.0, math.nan)):
        buffer.add(number * SECOND, (load, 0.0))
    assert buffer.series(0, 4 * SECOND, 1.0).columns["load"].mean == [4, 2]


def history(seconds: int, recent_s: float) -> History:
    made = History((Quantity("load", "percent", "node"),), 1.0, recent_s, limit=64)
    for number in range(seconds):
        made.add(number * SECOND, (float(number),))
    return made


@pytest.mark.parametrize("start, end", [(95, 99), (40, 60), (99, 99)])
def test_a_history_gives_the_recent_past_in_full(start: int, end: int) -> None:
    series = history(100, 100).series(start * SECOND, end * SECOND)
    assert series is not None
    assert series.offset_s == list(range(end - start + 1))
    assert series.columns["load"].mean == list(range(start, end + 1))


def test_a_history_gives_the_distant_past_at_a_lower_resolution() -> None:
    series = history(1000, 16).series(10 * SECOND, 900 * SECOND)
    assert series is not None
    assert series.interval_s > 1.0
    assert series.columns["load"].mean[0] == pytest.approx(10, abs=series.interval_s)


def test_a_span_without_samples_is_none() -> None:
    assert history(10, 16).series(20 * SECOND, 30 * SECOND) is None


@pytest.mark.parametrize("limit", [8, 64, 4096])
def test_rows_that_are_alike_may_come_together(limit: int) -> None:
    together, single = Buffer(QUANTITIES, limit), Buffer(QUANTITIES, limit)
    now_ns, counts = 0, (3, 1, 40, 7, 0, 20)
    for number, count in enumerate(counts):
        row = (float(number), 100.0 * number)
        times_ns = [now_ns + step * SECOND for step in range(1, count + 1)]
        now_ns += (count + number) * SECOND
        together.add_alike(times_ns, row)
        for time_ns in times_ns:
            single.add(time_ns, row)
    assert together.series(0, now_ns, 1.0) == single.series(0, now_ns, 1.0)


@pytest.mark.parametrize("moments", [4000, 100_000])
def test_samples_that_are_alike_take_little_memory(moments: int) -> None:
    quantities = [Quantity(str(number), "count") for number in range(20)]
    row = (0.0, *[math.nan] * 19)
    tracemalloc.start()
    try:
        buffer = Buffer(quantities)
        for first in range(0, moments, 20):
            buffer.add_alike([number * SECOND for number in range(first, first + 20)], row)
        used = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert used < 200_000  # with the numbers of each moment, 20 of 8 bytes, it was more than 600,000
    series = buffer.series(0, moments * SECOND, 1.0)
    assert set(series.columns["0"].mean) == {0}
    assert series.taken == moments


@pytest.mark.parametrize("limit", [4, 16, 4096])
def test_rows_come_out_alike_however_they_came_in(limit: int) -> None:
    single, together = Buffer(QUANTITIES, limit), Buffer(QUANTITIES, limit)
    moment = 0
    for number in range(60):
        row = (float(number // 7 % 3), 100.0 * (number // 5))
        moments = range(moment, moment + number % 9)
        moment = moments.stop
        for each in moments:
            single.add(each * SECOND, list(row))
        together.add_alike([each * SECOND for each in moments], row)
    for span in ((0, moment), (moment // 3, moment // 2)):
        start_ns, end_ns = (each * SECOND for each in span)
        assert together.series(start_ns, end_ns, 1.0) == single.series(start_ns, end_ns, 1.0)
