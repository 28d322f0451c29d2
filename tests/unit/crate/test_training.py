"""What libraries report of a task, in its crate and out of it again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prov_worker.crate import vocabulary as v
from prov_worker.crate.check import check_crate
from prov_worker.crate.reader import StepCrate
from prov_worker.crate.sources import source_of
from prov_worker.crate.summary_reader import open_step
from prov_worker.crate.training import MAX_RUNS, training_of
from prov_worker.errors import CrateError
from prov_worker.model import Part
from prov_worker.testing.crates import CrateFactory, task_id
from prov_worker.training import LayerTime, Metric, TrackedRun, TrainedModel, Training

START_NS = 1_795_217_215_000_000_000


@pytest.fixture
def factory(tmp_path: Path) -> CrateFactory:
    return CrateFactory(tmp_path / "crates")


def told() -> Training:
    metric = Metric.of("val/loss", [(0, 0.5, START_NS), (1, 0.9, START_NS + 1), (2, 0.7, START_NS + 2)])
    runs = [
        TrackedRun("mlflow", "r1", "first run", "FINISHED", None, "exp", "me", START_NS, START_NS + 5, "s3://b", "db"),
        TrackedRun("tensorboard", "/scratch/runs/a b", "a b", notes=["cut"]),
    ]
    runs[0].parameters.update(lr="0.1", text="a\nb\x07")
    runs[0].metrics += [metric, Metric.of("nothing", [(0, float("nan"), 1)])]
    model = TrainedModel("torch", "Net", "Adam", 3, 0.25, 0.1, 0.4, 161, 160, ["float32"], ["cuda:0"], 7, [0.5], [3])
    return Training(runs, [model], [LayerTime("Linear", 2, 0.5)], {"seed": 7}, {"cuda:0": 1 << 30}, [])


def test_what_was_told_is_in_the_metadata_and_all_of_it_in_a_file(factory: CrateFactory) -> None:
    path = factory.add(0, training=told())
    assert check_crate(source_of(path)) == []
    crate = StepCrate.open(path)
    expected = told()
    expected.runs[0].parameters["text"] = "a\nb"
    assert training_of(crate.source) == expected
    run = crate.entities["#run-r1"]
    assert (run["propertyID"], run["name"], run["value"]) == (v.ML_RUN, "first run", "r1")
    loss = next(entity for entity in crate.entities.values() if entity.get("name") == "val/loss")
    assert (loss["value"], loss["propertyID"]) == (0.7, v.ML_METRIC)
    assert loss["description"] == "The last of 3 values, 0.5 to 0.9"
    step, _ = open_step(source_of(path))
    assert (step.training_runs, step.models) == (2, ["Net"])
    assert (step.hyperparameters, step.metrics) == ({"lr": "0.1", "text": "a\nb"}, {"val/loss": 0.7})


def test_many_runs_are_in_the_file_alone(factory: CrateFactory) -> None:
    training = Training(runs=[TrackedRun("mlflow", f"r{number}") for number in range(MAX_RUNS + 10)])
    path = factory.add(0, training=training)
    assert len(training_of(source_of(path)).runs) == MAX_RUNS + 10
    assert open_step(source_of(path))[0].training_runs == MAX_RUNS


def test_how_a_step_belongs_to_others_is_read_back(factory: CrateFactory) -> None:
    part = Part("dask", "('sum', 0)", task_id(5), ["a", "b"], [task_id(6), task_id(7)])
    path = factory.add(0, part=part)
    assert check_crate(source_of(path)) == []
    step, _ = open_step(source_of(path))
    assert (step.part_key, step.part_of, step.needs) == ("('sum', 0)", task_id(5), [task_id(6), task_id(7)])
    plain, _ = open_step(source_of(factory.add(1)))
    assert (plain.part_key, plain.part_of, plain.needs, plain.metrics) == (None, None, [], {})


@pytest.mark.parametrize("content", ["", "[]", '{"runs": 1}', '{"runs": [{"metrics": [{"steps": [1]}]}]}'])
def test_a_damaged_file_is_named(factory: CrateFactory, content: str) -> None:
    path = factory.add(0, training=told())
    (path / v.TRAINING_FILE).write_text(content)
    with pytest.raises(CrateError, match=r"data/training\.json"):
        training_of(source_of(path))
    assert json.loads(Path(path / v.METADATA_FILE).read_text())
