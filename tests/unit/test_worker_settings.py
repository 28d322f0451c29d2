"""What a worker reads of settings is what those who checked them have meant."""

from __future__ import annotations

import importlib.util
import pickle
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from prov_worker.capture_settings import Capture
from prov_worker.globus import worker
from prov_worker.recorder.context import running
from prov_worker.settings import Settings
from prov_worker.telemetry_settings import Telemetry
from prov_worker.worker_settings import TELEMETRY, WorkerSettings

OFF = -1.0


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"poll_interval": 0.5, "ring_limit": 8 << 20, "write": "before_result"},
        {"capture_arguments": "packed", "capture_output": "tail", "capture_outputs": "at_end"},
        {"capture_outputs": False, "capture_environment": [], "capture": False},
        {"capture_environment": ["A", "B"], "capture": {"torch": "layers", "dask": False, "tensorboard": ["/a"]}},
        {"poll_interval": 0.1, "telemetry": {"cpu": 1, "gpu": False, "io": 0.1, "node": 2.5}},
    ],
)
def test_each_option_has_the_value_that_was_checked(values: dict[str, Any]) -> None:
    settings = Settings.from_mapping(values)
    read = WorkerSettings(settings.to_mapping())
    for option in WorkerSettings.__slots__:
        if option not in ("telemetry", "capture"):
            assert getattr(read, option) == getattr(settings, option), option
    assert (read.capture or Capture()) == settings.capture
    intervals = (settings.telemetry.interval_s(kind, settings.poll_interval) for kind in TELEMETRY)
    assert read.intervals(OFF) == tuple(OFF if interval is None else interval for interval in intervals)


def test_types_of_telemetry_stand_in_the_order_of_the_setting() -> None:
    assert tuple(kind.name for kind in fields(Telemetry)) == TELEMETRY


def test_options_of_a_later_release_are_passed_over() -> None:
    assert WorkerSettings({"of_a_later_release": 1}).write == "background"


@pytest.mark.parametrize(
    "settings", [{"poll_interval": "often"}, {"telemetry": 3}, {"capture": 5}, {"ring_limit": None}]
)
def test_a_task_runs_unrecorded_if_nobody_has_checked_its_settings(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorders: list[Any] = []

    def stock(*_: Any) -> bytes:
        recorders.append(running.observer)
        return b"result"

    monkeypatch.setattr(worker, "_stock", stock)
    provenance = {"key": "k", "settings": {**settings, "crate_dir": str(tmp_path)}}
    assert worker.execute_task(b"", str(uuid4()), provenance=provenance) == b"result"
    assert recorders == [None]


def test_what_comes_with_many_tasks_is_unpickled_once() -> None:
    sent, other = (pickle.dumps({"key": "k", "attempt": attempt}) for attempt in (1, 2))
    first = worker._unpickled(sent)
    assert worker._unpickled(bytes(bytearray(sent))) is first == {"key": "k", "attempt": 1}
    assert worker._unpickled(other) == {"key": "k", "attempt": 2}
    assert worker._unpickled(sent) == first


def test_a_worker_does_not_import_what_checks_settings_nor_what_few_tasks_need() -> None:
    code = (
        "import sys, prov_worker.globus.worker; from prov_worker import schedulers; assert schedulers.variables(); "
        "print(*(name for name in sys.modules if name in sys.argv))"
    )
    names = ["settings", "telemetry_settings", "stream_url", "model", "attempt", "accelerators", "programs", "files"]
    names += [
        "sandbox",
        "capture_settings",
        "recorder.annotations",
        "recorder.commands",
        "recorder.output",
        "recorder.bash_apps",
    ]
    names += ["spool.journal", "spool.drain", "spool.ring_reader", "spool.slot_reader"]
    names = [f"prov_worker.{name}" for name in names]
    assert all(importlib.util.find_spec(name) for name in names)
    done = subprocess.run([sys.executable, "-c", code, *names], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
