"""The registry and the runner: what a failing, hanging or unknown probe does to the others."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from prov_worker.model import HardwareSnapshot, host_name
from prov_worker.probes import PROBES, NoData, ProbeContext, ProbeError, take_all
from prov_worker.settings import Settings
from support.commands import run_python


@dataclass
class Made:
    """A probe that does what the test says."""

    act: Callable[[], dict[str, Any]]
    name: str = "made"
    time_limit_s: float = 30.0

    def take(self, context: ProbeContext) -> dict[str, Any]:
        return self.act()


@pytest.fixture
def add() -> Iterator[Callable[[str, Callable[[], Any]], None]]:
    """Register probes for a test."""
    with ExitStack() as stack:
        yield lambda name, make: stack.enter_context(PROBES.temporary(name, make))


def test_each_file_registers_the_probe_of_its_name() -> None:
    assert PROBES.names() == ("cpu", "energy", "environment", "gpu", "memory", "scheduler", "storage")
    for name, make in PROBES.items():
        probe = make()
        assert probe.name == name
        assert probe.time_limit_s > 0
    assert PROBES.default_names() == PROBES.names()


def test_names_are_known_without_importing_a_probe() -> None:
    code = (
        "import sys\n"
        "from prov_worker.settings import Settings\n"
        "assert Settings.from_mapping({'probes': ['gpu']}).probes == ('gpu',)\n"
        "print([name for name in sys.modules if name.startswith('prov_worker.probes')])"
    )
    done = run_python("-c", code, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_a_probe_that_is_off_by_default_is_taken_if_it_is_named() -> None:
    with PROBES.temporary("dear", lambda: Made(lambda: {"a": 1}), default=False):
        assert "dear" not in PROBES.default_names()
        assert Settings.from_mapping({"probes": ["dear"]}).probes == ("dear",)
        assert take_all(["dear"], ProbeContext(environ={})).data("dear") == {"a": 1}


def test_each_report_is_separate(add: Callable[..., None]) -> None:
    def fail() -> dict[str, Any]:
        raise ValueError("two\nlines")

    def stop() -> dict[str, Any]:
        raise SystemExit

    def absent() -> dict[str, Any]:
        raise NoData("none here")

    def broken() -> dict[str, Any]:
        raise ProbeError("the driver does not work")

    for name, act in {"fail": fail, "stop": stop, "absent": absent, "broken": broken, "good": lambda: {"a": 1}}.items():
        add(name, lambda act=act: Made(act))
    names = ["fail", "stop", "absent", "broken", "good", "unheard-of", "good"]
    snapshot = take_all(names, ProbeContext(environ={}))

    assert snapshot.host == host_name()
    assert snapshot.taken_ns > 0
    assert list(snapshot.probes) == ["fail", "stop", "absent", "broken", "good", "unheard-of"]
    reports = snapshot.probes
    assert (reports["fail"].success, reports["fail"].error) == (False, "ValueError: two lines")
    assert (reports["stop"].success, reports["stop"].error) == (False, "SystemExit")
    assert (reports["absent"].success, reports["absent"].absent, reports["absent"].error) == (True, "none here", None)
    assert (reports["broken"].success, reports["broken"].error) == (False, "the driver does not work")
    assert (reports["good"].success, reports["good"].data) == (True, {"a": 1})
    assert reports["unheard-of"].error is not None
    assert reports["unheard-of"].error.startswith("unknown probe; known are absent, broken, cpu, ")
    assert all(report.duration_s >= 0 for report in reports.values())


def test_hanging_probe_is_reported_and_harms_no_other(add: Callable[..., None]) -> None:
    release = threading.Event()

    def hang() -> dict[str, Any]:
        release.wait(60)
        return {"late": True}

    add("hang", lambda: Made(hang, time_limit_s=0.2))
    add("good", lambda: Made(lambda: {"a": 1}))
    try:
        snapshot = take_all(["hang", "good"], ProbeContext(environ={}))
    finally:
        release.set()
    report = snapshot.probes["hang"]
    assert (report.success, report.error, report.data) == (False, "timed out after 0.2 s", {})
    assert snapshot.probes["good"].data == {"a": 1}


def test_probe_that_cannot_be_made_is_one_failed_probe(add: Callable[..., None]) -> None:
    def make() -> Made:
        raise ImportError("no module")

    add("unmade", make)
    add("good", lambda: Made(lambda: {"a": 1}))
    snapshot = take_all(["unmade", "good"], ProbeContext(environ={}))
    assert snapshot.probes["unmade"].error == "ImportError: no module"
    assert snapshot.data("good") == {"a": 1}


def test_snapshot_survives_json() -> None:
    snapshot = take_all(context=ProbeContext(mount_points=("/",)))
    assert HardwareSnapshot.from_dict(json.loads(json.dumps(snapshot.to_dict(), allow_nan=False))) == snapshot


def test_nothing_heavy_is_imported_with_the_room() -> None:
    code = (
        "import sys, prov_worker.probes, prov_worker.probes.gpus, prov_worker.probes.node.memory\n"
        "print(sorted({'psutil', 'pynvml'} & set(sys.modules)))"
    )
    done = run_python("-c", code, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_context_does_not_show_its_environment() -> None:
    assert "hunter2" not in repr(ProbeContext(environ={"PASSWORD": "hunter2"}))
