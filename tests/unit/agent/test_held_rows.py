"""CPU time that is seen late counts for when it was used."""

from __future__ import annotations

import os

import pytest

from prov_worker.agent.held_rows import HOLD_NS, HeldRows
from prov_worker.agent.worker_monitor import TASK_QUANTITIES, TaskSamples
from prov_worker.model import Series
from prov_worker.spool.slot_reader import SlotTask

MS = 1_000_000
OTHERS = [0.0] * (len(TASK_QUANTITIES) - 2)


@pytest.fixture
def samples() -> TaskSamples:
    return TaskSamples(SlotTask(1, 0, 0, 0, bytes(16), 1))


def series_of(samples: TaskSamples, end_ms: int) -> Series:
    return samples.series(end_ms * MS, 0.05)


def test_a_child_that_is_seen_late_counts_since_its_start(samples: TaskSamples) -> None:
    rows: HeldRows = samples.rows
    for number in range(1, 6):
        rows.add(number * 50 * MS, OTHERS, [(5 * MS, (number - 1) * 50 * MS, number * 50 * MS)])
    # a child of one thread, which began at 100 ms and is found at 300 ms
    rows.add(300 * MS, OTHERS, [(5 * MS, 250 * MS, 300 * MS), (200 * MS, 100 * MS, 300 * MS)])
    series = series_of(samples, 300)
    assert series.columns["cpu_percent"].mean == [10, 10, 110, 110, 110, 110]
    assert rows.used_ns == 230 * MS
    assert set(series.columns) == {quantity.name for quantity in TASK_QUANTITIES} - {"cpu_ns"}


def test_rows_are_held_no_longer_than_they_must(samples: TaskSamples) -> None:
    rows = samples.rows
    for number in range(1, 101):
        rows.add(number * 50 * MS, OTHERS, [(50 * MS, (number - 1) * 50 * MS, number * 50 * MS)])
    assert len(rows.buffer) >= 100 - HOLD_NS // (50 * MS) - 1
    assert series_of(samples, 5000).columns["cpu_percent"].mean == [100] * 100


def test_no_sample_is_above_what_the_node_has(samples: TaskSamples) -> None:
    cpus = len(os.sched_getaffinity(0))
    rows = samples.rows
    rows.add(50 * MS, OTHERS, [(60 * cpus * MS, 0, 50 * MS)])  # of ticks of 10 ms, which came a little late
    rows.add(100 * MS, OTHERS, [(0, 50 * MS, 100 * MS)])
    assert series_of(samples, 100).columns["cpu_percent"].mean == [100 * cpus, 20 * cpus]


def test_means_are_over_time_when_the_resolution_falls(samples: TaskSamples) -> None:
    """Of uneven samples, the mean of two is not half of their sum."""
    rows = samples.rows
    now = used = 0
    for number in range(5000):
        length = (10 if number % 2 else 90) * MS
        part = length if number % 2 else 0
        rows.add(now + length, OTHERS, [(part, now, now + length)])
        now, used = now + length, used + part
    series = samples.series(now, 0.05)
    assert len(series) < 4096
    total = before = 0.0
    for offset_s, percent in zip(series.offset_s, series.columns["cpu_percent"].mean, strict=True):
        assert percent is not None
        total += (offset_s - before) * percent / 100
        before = offset_s
    assert total == pytest.approx(used / 1e9, rel=0.001)


def test_samples_without_cpu_time_have_none(samples: TaskSamples) -> None:
    samples.rows.add(50 * MS, [1e6, *OTHERS[1:]], None)
    series = series_of(samples, 50)
    assert "cpu_percent" not in series.columns
    assert series.columns["rss_bytes"].mean == [1e6]


@pytest.mark.parametrize("late_ns", [0, 90 * MS, 350 * MS])
def test_rows_without_cpu_time_are_as_others(late_ns: int) -> None:
    """Also if a child is seen late that ran beside a worker that slept."""
    rows = []
    for alike in (True, False):
        held = TaskSamples(SlotTask(1, 0, 0, 0, bytes(16), 1)).rows
        now = 0
        for number in range(200):
            now = (number + 1) * 50 * MS
            values = OTHERS if number % 90 < 60 else [1.0, *OTHERS[1:]]
            if number in (0, 70, 120):
                held.add(now, values, [(20 * MS, now - 50 * MS, now), (late_ns // 2, now - late_ns, now)])
            elif alike:
                held.add_idle(now, values)
            else:
                held.add(now, values, [(0, now - 50 * MS, now)])
        held.flush()
        rows.append((held.used_ns, held.buffer.series(0, now, 0.05)))
    assert rows[0] == rows[1]
