"""What was sampled is kept until the records of the tasks are read, but not without bounds."""

from __future__ import annotations

import pytest

from prov_worker.agent import sampled_tasks
from prov_worker.agent.process_use import TreeUse
from prov_worker.agent.sampled_tasks import SampledTasks
from prov_worker.agent.tick import Tick
from prov_worker.attempt import AttemptId
from prov_worker.model import TaskSeries


def attempt(number: int) -> AttemptId:
    return AttemptId(f"task-{number}", 1, number)


def test_series_and_trees_are_found_by_attempt() -> None:
    sampled, series, tree = SampledTasks(), TaskSeries(), TreeUse(1)
    sampled.take(Tick(series=[(attempt(1), series)], trees=[(attempt(2), tree)]))
    sampled.take(Tick())
    assert sampled.series.pop(attempt(1)) is series
    assert sampled.trees.pop(attempt(2)) is tree
    assert attempt(1) not in sampled.trees


def test_the_oldest_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampled_tasks, "_MAX_KEPT", 3)
    sampled = SampledTasks()
    sampled.take(Tick(series=[(attempt(n), TaskSeries()) for n in range(5)], trees=[(attempt(9), TreeUse(1))]))
    assert [name.start_ns for name in sampled.series] == [2, 3, 4]
    assert list(sampled.trees) == [attempt(9)]
