"""What libraries report of models: series that are thinned, and data of any shape that is read."""

from __future__ import annotations

import math
from typing import Any

import pytest

from prov_worker.training import MAX_POINTS, LayerTime, Metric, TrackedRun, TrainedModel, Training, thinned


def test_a_short_series_is_kept_as_it_is() -> None:
    metric = Metric.of("loss", [(0, 0.5, 10), (1, 0.9, 20), (1, 0.7, 30)])
    assert (metric.steps, metric.values, metric.times_ns) == ([0, 1, 1], [0.5, 0.9, 0.7], [10, 20, 30])
    assert (metric.count, metric.last, metric.low, metric.high) == (3, 0.7, 0.5, 0.9)


def test_numbers_that_are_none_are_absent_and_hide_no_extreme() -> None:
    metric = Metric.of("loss", [(0, math.nan, 1), (1, math.inf, 2), (2, 0.0, 3), (3, -math.inf, 4)])
    assert metric.values == [None, None, 0.0, None]
    assert (metric.count, metric.last, metric.low, metric.high) == (4, None, 0.0, 0.0)
    assert Metric.of("nothing", []).last is None


def test_a_long_series_keeps_its_ends_and_extremes_in_order() -> None:
    points = [(step, math.sin(step / 50), step) for step in range(100_000)]
    points[54_321] = (54_321, 40.0, 54_321)
    points[70_001] = (70_001, -40.0, 70_001)
    metric = Metric.of("loss", points)
    assert len(metric.steps) <= MAX_POINTS
    assert metric.steps == sorted(metric.steps)
    assert {0, 54_321, 70_001, 99_999} <= set(metric.steps)
    assert (metric.count, metric.low, metric.high) == (100_000, -40.0, 40.0)
    assert thinned([(0, math.nan, 0)] * 10_000, 100)[0][0] == 0


def test_what_is_written_is_read_back() -> None:
    training = Training(
        runs=[TrackedRun("mlflow", "r", parameters={"lr": "1"}, metrics=[Metric.of("a", [(0, 1.0, 5)])])],
        models=[TrainedModel("torch", "Net", steps=3, offsets_s=[0.5], counts=[3])],
        layers=[LayerTime("Linear", 2, 0.25)],
        conditions={"seed": 7, "deterministic": True, "version": "2.5"},
        peak_device_bytes={"cuda:0": 5},
        absent=["a reason"],
    )
    assert Training.from_dict(training.to_dict()) == training
    assert not Training()


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {"runs": {}},
        {"runs": [1]},
        {"models": [{"offsets_s": [1], "counts": []}]},
        {"runs": [{"metrics": [{"steps": [1], "values": [], "times_ns": []}]}]},
        {"conditions": [1]},
        {"layers": ["x"]},
    ],
)
def test_another_shape_is_refused(data: Any) -> None:
    with pytest.raises(ValueError, match="expected|number"):
        Training.from_dict(data)


def test_numbers_and_texts_of_odd_kinds_are_made_plain() -> None:
    data = {"runs": [{"tool": 5, "id": None, "start_ns": "x", "tags": {"a": 1}, "metrics": [{"last": 1e400}]}]}
    run = Training.from_dict(data).runs[0]
    assert (run.tool, run.id, run.start_ns, run.tags, run.metrics[0].last) == ("5", "", None, {"a": "1"}, None)
