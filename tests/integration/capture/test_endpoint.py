"""Tasks of an endpoint that use libraries: what these stored is in the crates, by a reader in a process of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from capture_tasks import log_scalars, track, use_a_cluster, use_a_flow

from prov_worker.crate.reader import StepCrate
from prov_worker.crate.training import training_of
from prov_worker.globus.embedded import EmbeddedEndpoint
from prov_worker.run.api import open_run
from support.marks import PARSL_SOCKET

pytestmark = [PARSL_SOCKET, pytest.mark.timeout(300)]
LIMIT_S = 120
EVENTS = Path(__file__).parents[2] / "unit" / "capture" / "data" / "torch.tfevents"
SCHEMA = """
CREATE TABLE experiments (experiment_id, name);
CREATE TABLE runs (run_uuid, name, status, user_id, start_time, end_time, artifact_uri, experiment_id);
CREATE TABLE tags (key, value, run_uuid);
CREATE TABLE params (key, value, run_uuid);
CREATE TABLE metrics (key, value, timestamp, run_uuid, step, is_nan);
"""


def test_what_libraries_stored_is_in_the_crates_of_their_tasks(
    tmp_path: Path, crates: Path, wait_for: Callable[..., None]
) -> None:
    pytest.importorskip("distributed")
    good, damaged = tmp_path / "mlflow.db", tmp_path / "damaged.db"
    with sqlite3.connect(good) as store:
        store.executescript(SCHEMA)
    store.close()
    damaged.write_bytes(b"no database, but longer than a page of one" * 200)
    settings = {"crate_dir": str(crates), "plots": "none"}
    with EmbeddedEndpoint(workers=1, provenance=settings, run_dir=tmp_path / "run", run_in_sandbox=True) as endpoint:
        futures = [
            endpoint.submit(log_scalars, str(EVENTS)),
            endpoint.submit(track, [f"sqlite:///{good}", f"sqlite:///{damaged}"]),
            endpoint.submit(track, [f"sqlite:///{good}"], status="FAILED"),
            endpoint.submit(use_a_cluster, 3),
        ]
        results = [future.result(LIMIT_S) for future in futures]
        wait_for(lambda: len(list(crates.glob("*.crate"))) == 7, "the crates of tasks and steps")
    assert results[3] == [3, 2, 1]
    events, tracked, failed, cluster = (StepCrate.open(crates / f"{future.task_id}.crate") for future in futures)
    (run,) = training_of(events.source).runs
    assert (run.name, {metric.name: metric.count for metric in run.metrics}["loss"]) == ("run", 20)
    for crate, status in ((tracked, "FINISHED"), (failed, "FAILED")):
        (run,) = training_of(crate.source).runs
        assert (run.id, run.status) == (f"run of {crate.task_id}", status)
        assert [(metric.name, metric.last) for metric in run.metrics] == [("loss", 0.25)]
    assert [note for note in tracked.notes if f"sqlite:///{damaged}: not read: file is not a database" in note]
    assert not [note for note in failed.notes if "not read" in note]
    steps = [step for step in open_run(crates).steps() if step.part_of is not None]
    assert {step.part_of for step in steps} == {cluster.task_id}
    assert [step.function for step in steps] == ["abs"] * 3


def test_an_endpoint_in_a_temporary_directory_ends_when_its_crates_are_complete(crates: Path) -> None:
    settings = {"crate_dir": str(crates), "plots": "none"}
    with EmbeddedEndpoint(workers=1, provenance=settings, run_in_sandbox=True) as endpoint:
        flow, events = endpoint.submit(use_a_flow, 3), endpoint.submit(log_scalars, str(EVENTS))
        assert flow.result(LIMIT_S) == 12
        events.result(LIMIT_S)
    # At once: the sandbox with the event file is gone by now.
    (run,) = StepCrate.open(crates / f"{events.task_id}.crate").training().runs
    assert {metric.name: metric.count for metric in run.metrics}["loss"] == 20
    first, second = (step for step in open_run(crates).steps() if step.part_of == str(flow.task_id))
    assert {first.function, second.function} == {"double"}
    assert sorted((first.needs, second.needs)) in ([[], [first.task_id]], [[], [second.task_id]])
