"""Events of samples: what the task and its own GPUs use."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from prov_worker.agent.gpu_share import gpu_sums
from prov_worker.agent.task_events import TaskEvents
from prov_worker.attempt import AttemptId
from prov_worker.crate.error_line import error_of
from prov_worker.model import COMPLETED, FAILED, Failure, Function, TaskRecord, Worker
from prov_worker.spool.event_log import event_dir
from prov_worker.spool.paths import spool_dir
from prov_worker.spool.records import Ended
from prov_worker.spool.stream_request import leave_request, restore_requests
from prov_worker.stream.lane import Lane
from prov_worker.stream_url import StreamUrl

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "schemas" / "event-1.json").read_text())
NAN = float("nan")
#: Utilisation, memory, power, temperature.
GPUS = {0: [50.0, 1e9, 100.4, 40.0], 1: [80.0, 2e9, NAN, 41.0], 2: [NAN, NAN, NAN, 30.0]}


@pytest.mark.parametrize(
    ("variables", "sums"),
    [
        ({"CUDA_VISIBLE_DEVICES": "0"}, {"gpu_percent": 50.0, "gpu_memory_bytes": 10**9, "gpu_power_watts": 100.4}),
        (
            {"CUDA_VISIBLE_DEVICES": "1,0"},
            {"gpu_percent": 130.0, "gpu_memory_bytes": 3 * 10**9, "gpu_power_watts": 100.4},
        ),
        ({}, {"gpu_percent": 130.0, "gpu_memory_bytes": 3 * 10**9, "gpu_power_watts": 100.4}),
        ({"CUDA_VISIBLE_DEVICES": "2"}, {}),
        ({"CUDA_VISIBLE_DEVICES": "GPU-1f"}, {}),
        ({"CUDA_VISIBLE_DEVICES": ""}, {}),
    ],
)
def test_the_gpus_of_a_task_are_added_up(variables: dict[str, str], sums: dict[str, float]) -> None:
    assert gpu_sums(GPUS, variables) == sums
    assert gpu_sums({}, variables) == {}


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    path = tmp_path / "runtime"
    path.mkdir(0o700)
    leave_request(str(path), {"stream": [f"sqlite:{tmp_path / 'x'}"]})
    return path


@pytest.fixture
def events(tmp_path: Path, runtime: Path) -> Iterator[TaskEvents]:
    made = TaskEvents(str(runtime), str(tmp_path / "crates"), pytest.fail)
    yield made
    made.close()


def told(tmp_path: Path) -> list[dict[str, Any]]:
    directory = Path(event_dir(spool_dir(str(tmp_path / "crates"))))
    return [json.loads(line) for path in directory.glob("*.events") for line in path.read_bytes().splitlines()]


def begun(events: TaskEvents, **devices: str) -> AttemptId:
    worker = Worker("host", 1, accelerators=devices)
    record = TaskRecord("a", 1, COMPLETED, time.time_ns(), 0, Function("f"), worker)
    events.begun(Ended(record, {}))
    return record.attempt_id


def test_a_sample_has_what_the_tasks_own_gpus_do(events: TaskEvents, tmp_path: Path) -> None:
    attempt = begun(events, CUDA_VISIBLE_DEVICES="1")
    events.sampled(attempt, {"rss_bytes": 7}, GPUS)
    events.sampled(attempt, {}, {})  # nothing to say
    events.sampled(attempt, {}, GPUS)  # of a task whose other telemetry is off
    assert events.flush()
    _, *samples = told(tmp_path)
    for sample in samples:
        jsonschema.validate(sample, SCHEMA)
    gpu = {"gpu_percent": 80.0, "gpu_memory_bytes": 2 * 10**9}
    assert [sample["data"]["sample"] for sample in samples] == [{"rss_bytes": 7, **gpu}, gpu]
    described = SCHEMA["$defs"]["data"]["properties"]["sample"]["properties"]
    assert gpu.keys() <= described.keys()
    lane = Lane(event_dir(spool_dir(str(tmp_path / "crates"))), StreamUrl(f"sqlite:{tmp_path / 'x'}"))
    assert lane.step() == 3
    lane.close()


def test_what_was_asked_for_outlives_a_log_out(events: TaskEvents, runtime: Path, tmp_path: Path) -> None:
    (name,) = os.listdir(runtime)
    kept: dict[str, bytes] = {}
    restore_requests(str(runtime), kept)
    text = (runtime / name).read_bytes()
    (runtime / name).unlink()
    runtime.rmdir()
    with pytest.raises(FileNotFoundError):
        restore_requests(str(runtime), kept)
    runtime.mkdir(0o700)
    restore_requests(str(runtime), kept)
    assert (runtime / name).read_bytes() == text
    assert (runtime / name).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        (Failure("exception", "", "builtins.KeyError"), "KeyError: no message (exception)"),
        (Failure("exception", "no\n  file", "builtins.OSError"), "OSError: no file"),
        (Failure("signal", "", signal="SIGKILL"), "no message (signal)"),
        (Failure("lost", "ManagerLost: gone", "parsl.ManagerLost"), "ManagerLost: gone"),
    ],
)
def test_an_event_gives_the_error_of_the_crate(
    events: TaskEvents, tmp_path: Path, failure: Failure, error: str
) -> None:
    start_ns = time.time_ns()
    record = TaskRecord("a", 1, FAILED, start_ns, start_ns, Function("f"), Worker("host", 1), failure=failure)
    events.ended(Ended(record, {}))
    assert events.flush()
    (event,) = (event for event in told(tmp_path) if event["type"].endswith("ended"))
    assert event["data"]["error"] == error_of(record) == error
    jsonschema.validate(event, SCHEMA)


def test_an_event_has_no_wall_time_of_a_task_that_only_waited(events: TaskEvents, tmp_path: Path) -> None:
    failure = Failure("lost", "ManagerLost: gone", "parsl.ManagerLost")
    record = TaskRecord("a", 1, FAILED, 0, 45_700_000_000, Function("f"), Worker("unknown", 0), failure=failure)
    record.begun = False
    events.ended(Ended(record, {}))
    assert events.flush()
    (event,) = (event for event in told(tmp_path) if event["type"].endswith("ended"))
    assert "wall_s" not in event["data"]
    jsonschema.validate(event, SCHEMA)
