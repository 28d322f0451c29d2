"""Crates of long tasks and lateness in a burst, against what docs/operations.md says of both.

Times are measured by ``python -m benchmarks --only sizes --only burst``, which the page names.
"""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from prov_worker.agent import burst, priority
from prov_worker.agent.buffers import LIMIT, Buffer, History, Quantity
from prov_worker.agent.worker_monitor import CPU_TIME, TASK_QUANTITIES
from prov_worker.model import TaskSeries
from prov_worker.testing import CrateFactory, node

PAGE = " ".join((Path(__file__).parents[3] / "docs" / "operations.md").read_text(encoding="utf-8").split())
RATE_HZ = 20
INTERVAL_NS = 1_000_000_000 // RATE_HZ
NODE = [
    Quantity("cpu_percent", "percent", "node"),
    Quantity("memory_used_bytes", "byte", "node"),
    *(Quantity(f"cpu{number}_percent", "percent", f"cpu:{number}") for number in range(2)),
]


def half_busy(seconds: int) -> TaskSeries:
    """Return the series of a task that keeps a CPU half busy, all of whose values differ from sample to sample."""
    dice = random.Random(7)
    task, of_node = Buffer(TASK_QUANTITIES), History(NODE, 1 / RATE_HZ)
    used_ns, read, rss = 0.0, 0.0, 30e6
    for number in range(1, seconds * RATE_HZ + 1):
        percent = dice.uniform(0, 100)
        used_ns += percent / 100 * INTERVAL_NS
        read += dice.randrange(200)
        rss += 4096 * dice.randrange(2)
        task.add(number * INTERVAL_NS, [percent, used_ns, rss, 1, read, 0, 0, 0, 0, 0])
        of_node.add(number * INTERVAL_NS, [dice.uniform(0, 100), 4e9 + rss, percent, dice.uniform(0, 100)])
    end_ns = seconds * 1_000_000_000
    series = task.series(0, end_ns, 1 / RATE_HZ)
    del series.columns[CPU_TIME]
    return TaskSeries(series, of_node.series(0, end_ns))


def size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def documented(length: str) -> int:
    """Return the most bytes that the page's table has for tasks of a length."""
    match = re.search(rf"\| {length} \| (?:\d+ to )?(\d+) kB \|", PAGE)
    assert match, length
    return 1000 * int(match[1])


@pytest.mark.parametrize("length, seconds", [("10 s", 10), ("60 s", 60)])
def test_a_crate_is_no_larger_than_the_page_says(tmp_path: Path, length: str, seconds: int) -> None:
    crates = CrateFactory(tmp_path, snapshot=node(cpus=2))
    assert size(crates.add(1, wall_s=seconds, series=half_busy(seconds))) <= documented(length)


def test_series_are_thinned_and_bounded_as_the_page_says(tmp_path: Path) -> None:
    """Of the length that has the most samples, and of an hour: a day has as many, each of which stands for more."""
    assert f"past {LIMIT:,} samples their resolution halves" in PAGE
    bound = re.search(r"no crate of such a node has more than ([\d.]+) MB", PAGE)
    assert bound
    crates = CrateFactory(tmp_path, snapshot=node(cpus=2))
    for number, seconds in enumerate((600, (4 * LIMIT - 4) // RATE_HZ, 3600)):
        series = half_busy(seconds)
        assert series.task is not None
        assert LIMIT // 2 <= len(series.task) <= LIMIT
        assert size(crates.add(number, wall_s=seconds, series=series)) <= float(bound[1]) * 1e6


def test_a_burst_is_what_the_page_says() -> None:
    assert f"more than {burst.BURST_RATE:.0f} tasks per second" in PAGE
    assert burst.BURST_PATIENCE_S == 5
    assert "wait for five seconds at first" in PAGE
    assert f"by {priority.WRITING}, and by {priority.IN_A_BURST} in a burst" in PAGE
