"""The plotter: requests and answers over pipes that nobody may wait for."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from prov_worker.agent.plotter import Drawn, Plotter, readable
from prov_worker.crate.plot_caption import Caption
from prov_worker.model import Column, Series, TaskSeries

pytest.importorskip("matplotlib")

SAMPLES = 4096


@pytest.fixture
def plotter() -> Iterator[Plotter]:
    started = Plotter()
    yield started
    started.close()


def long_series() -> TaskSeries:
    offsets = [0.05 * number for number in range(SAMPLES)]
    columns = {
        f"cpu{number}_percent": Column("percent", [float(sample % 100) for sample in range(SAMPLES)])
        for number in range(16)
    }
    columns["cpu_percent"] = Column("percent", [float(sample % 100) for sample in range(SAMPLES)])
    return TaskSeries(task=Series(0.05, offsets, columns, SAMPLES, SAMPLES, 0.05))


def answers(plotter: Plotter, count: int, limit_s: float = 180.0) -> list[Drawn]:
    drawings: list[Drawn] = []
    until = time.monotonic() + limit_s
    while len(drawings) < count and time.monotonic() < until:
        readable(plotter, 0.05)
        drawings += plotter.answers()
    return drawings


def test_more_requests_than_pipes_hold_are_all_answered(plotter: Plotter) -> None:
    series = long_series()
    numbers = [plotter.request(series, Caption(f"task {number}")) for number in range(12)]
    time.sleep(2.0)  # nobody reads its answers: the process comes to a stop, and must go on afterwards
    drawn = answers(plotter, len(numbers))
    assert [drawing.number for drawing in drawn] == numbers
    assert all(drawing.data is not None and drawing.data.startswith(b"\x89PNG") for drawing in drawn)
    assert len(plotter) == 0


def test_a_plotter_that_dies_is_told_for_every_request(plotter: Plotter) -> None:
    series = long_series()
    numbers = [plotter.request(series, Caption("task")) for _ in range(3)]
    assert plotter._process is not None
    plotter._process.kill()
    drawn = answers(plotter, len(numbers))
    assert [drawing.number for drawing in drawn] == numbers
    assert all(drawing.data is None and "died" in str(drawing.error) for drawing in drawn[-1:])
