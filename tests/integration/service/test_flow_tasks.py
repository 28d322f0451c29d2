"""A flow made of steps by name: its tasks by the real daemon, its crates brought back, its record assembled."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flow_clients import FlowsUser, write_collections
from service_stack import ALICE, Stack, running

from prov_worker.flow import deploy, make, record, run, status
from prov_worker.flow.check import load
from prov_worker.run.assembly.assemble import assemble
from prov_worker.run.assembly.model import Options

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.xdist_group("service-flow-tasks")]
SPEC = """\
name: Fit of a run
inputs:
  raw: collection
  scratch: collection
  crates: collection
  home: collection
  endpoint: uuid
  fit_function_id: uuid
  segments: {type: array, items: object}
crates: {from: crates, to: home/crates, grace: 2}
steps:
  - {name: fetch, transfer: {from: raw, to: scratch/in}}
  - name: fit
    compute:
      batch: $.input.segments
      endpoint: $.input.endpoint
      function: $.input.fit_function_id
      config: {engine: ProvenanceEngine, write: before_result}
  - name: keep
    transfer: {from: scratch/out, to: home}
"""
FIT = """\
def fit(directory, segment, fails=False, until=None):
    import os, time
    while until and not os.path.exists(until):
        time.sleep(0.05)
    if fails:
        raise ValueError(f"segment {segment} cannot be fitted")
    with open(f"{directory}/in/{segment}.dat", "rb") as stream:
        total = sum(stream.read())
    os.makedirs(f"{directory}/out", exist_ok=True)
    with open(f"{directory}/out/{segment}.txt", "w") as stream:
        stream.write(str(total))
    return total
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("flow-tasks")


@pytest.fixture(scope="module")
def ids(place: Path) -> dict[str, str]:
    return write_collections(place / "collections.json", {"raw": {}, "scratch": {}, "crates": {}, "home": {}})


@pytest.fixture(scope="module")
def stack(place: Path, ids: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    options = ("--flows", "--collections", str(place / "collections.json"))
    assert set(ids) == {"raw", "scratch", "crates", "home"}
    with running(tmp_path_factory.mktemp("stack"), *options, crates=place / "crates") as running_stack:
        yield running_stack


@pytest.fixture(scope="module")
def flow(place: Path, stack: Stack) -> str:
    """Id of the flow, deployed."""
    assert stack.daemon is not None
    (place / "flow.yaml").write_text(SPEC)
    for name, text in make(place / "flow.yaml").files().items():
        (place / name).write_text(text)
    loaded = load(place / "definition.json", place / "schema.json")
    plan = deploy(loaded)
    assert plan.written
    assert deploy(loaded).changes == []
    return str(plan.flow_id)


@pytest.fixture
def value(place: Path, ids: dict[str, str], stack: Stack) -> dict[str, Any]:
    """Input of a run, of two segments."""
    from globus_compute_sdk import Client

    assert stack.daemon is not None
    for number in range(2):
        (place / "raw" / f"{number}.dat").write_bytes(bytes([number + 1]) * 1000)
    places = {name: {"id": collection, "path": "/"} for name, collection in ids.items()}
    segments = [{"directory": str(place / "scratch"), "segment": number} for number in range(2)]
    function = Client().register_source_code(FIT, "fit")
    return {"input": {**places, "endpoint": stack.daemon.id, "fit_function_id": function, "segments": segments}}


def wait_for_end(run_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 240
    while (shown := status(run_id).run)["status"] == "ACTIVE":
        assert time.monotonic() < deadline, shown
        time.sleep(0.5)
    return dict(shown)


def test_tasks_run_crates_come_back_and_the_record_names_their_step(
    flow: str, value: dict[str, Any], place: Path, wait_for: Callable[..., None]
) -> None:
    run_id = run(place / "definition.json", value, label="good")
    ended = wait_for_end(run_id)
    assert ended["status"] == "SUCCEEDED", ended
    results = ended["details"]["output"]["fit"]["details"]["results"]
    assert [result["output"] for result in results] == [1000, 2000]
    assert (place / "home" / "1.txt").read_text() == "2000"
    home = place / "home" / "crates"
    assert {path.name for path in home.iterdir()} == {f"{result['task_id']}.crate" for result in results}
    record(run_id, place / "record")
    assert json.loads((place / "record" / "input.json").read_text()) == value
    assembled = assemble([home], place / "run.crate", Options(workflow=place / "record"))
    assert (assembled.tasks, assembled.failed, assembled.idle, assembled.problems) == (2, 0, [], [])


def test_a_failing_segment_fails_the_run_and_its_crates_come_back(
    flow: str, value: dict[str, Any], place: Path
) -> None:
    value["input"]["segments"][1]["fails"] = True
    value["input"]["home"]["path"] = "/failed"
    ended = wait_for_end(run(flow, value))
    assert (ended["status"], ended["details"]["details"]["error"]) == ("FAILED", "fit_failed")
    assert "segment 1 cannot be fitted" in ended["details"]["output"]["fit_error"]["Cause"]
    result = assemble([place / "home" / "failed" / "crates"], place / "failed.crate", Options())
    assert result.failed == 1


def test_a_service_killed_while_tasks_run_submits_none_twice(
    flow: str, value: dict[str, Any], place: Path, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = place / "go"
    for segment in value["input"]["segments"]:
        segment["until"] = str(go)
    value["input"]["home"]["path"] = "/killed"
    run_id = run(flow, value)
    user = FlowsUser(monkeypatch, 5000, ALICE)
    deadline = time.monotonic() + 120
    while [state.name for state in status(run_id).states] != ["fetch", "fit"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    stack.service.stop(signal.SIGKILL)
    stack.service.start()
    go.touch()
    assert wait_for_end(run_id)["status"] == "SUCCEEDED"
    assert user.codes(run_id).count("ActionStarted") == 4
    assert len(list((place / "home" / "killed" / "crates").iterdir())) == 2
