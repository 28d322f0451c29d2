"""What is said of crates that are published without the plot that they should have."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from prov_worker.agent import plot_queue
from prov_worker.agent.crate_job import CrateJob
from prov_worker.agent.plot_queue import PlotQueue
from prov_worker.agent.publisher import Publisher
from prov_worker.model import COMPLETED, Function, TaskRecord, Worker
from prov_worker.spool.records import Ended
from prov_worker.testing import sampled_series

REMEDY = " `prov-worker plot CRATE` draws one."


class StalledPlotter:
    """Takes requests and never answers."""

    broken: str | None = None
    pace_s = 0.0

    def request(self, *_: object) -> int | None:
        return 7


@pytest.fixture
def queue(tmp_path: Path) -> PlotQueue:
    made = PlotQueue(Publisher(str(tmp_path), take_hardware=False))
    made._plotter = cast("Any", StalledPlotter())
    return made


def job(write: str = "background") -> CrateJob:
    record = TaskRecord("a", 1, COMPLETED, 0, 2_000_000_000, Function("f"), Worker("host", 1))
    ended = Ended(record, {"plots": "png", "write": write})
    return CrateJob(ended, cast("Any", SimpleNamespace()), sampled_series(2.0))


@pytest.mark.parametrize(("write", "seconds"), [("background", 5), ("before_result", 30)])
def test_how_long_a_plot_was_waited_for(queue: PlotQueue, write: str, seconds: int) -> None:
    waiting = job(write)
    assert queue.ask(waiting)
    assert queue.overdue(waiting.plot_until) == [waiting]
    note = waiting.ended.record.plot_absent
    assert note == f"No plot was drawn: it was not drawn within {seconds} s.{REMEDY}"


@pytest.mark.parametrize("broken", [None, "matplotlib is not installed"])
def test_what_is_not_waited_for_names_the_remedy(
    queue: PlotQueue, broken: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plot_queue, "_MAX_PLOTS_WAITING", 0)
    monkeypatch.setattr(StalledPlotter, "broken", broken)
    refused = job()
    assert not queue.ask(refused)
    reason = broken or "more were asked for than could be drawn in time"
    assert refused.ended.record.plot_absent == f"No plot was drawn: {reason}.{REMEDY}"
