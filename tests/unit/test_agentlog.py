"""What the container's log says of what agents complain of (docker/agentlog.py)."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from prov_worker.spool.launch import LOG

SOURCE = Path(__file__).resolve().parents[2] / "docker" / "agentlog.py"


def line(level: str, kind: str, *values: object, error: str | None = None) -> str:
    fields = {"time": "2026-01-01T10:00:00.000+00:00", "pid": 7, "level": level, "kind": kind, "text": kind % values}
    if error is not None:
        fields |= {"error": error, "traceback": f"Traceback (most recent call last):\n{error}"}
    return json.dumps(fields) + "\n"


@pytest.fixture
def agentlog() -> ModuleType:
    spec = importlib.util.spec_from_file_location("agentlog", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / LOG


@pytest.fixture
def relay(agentlog: ModuleType, tmp_path: Path) -> Any:
    return agentlog.Relay(lambda: [str(tmp_path), str(tmp_path / "gone")])


def test_an_error_is_one_line_with_its_reason(relay: Any, log: Path) -> None:
    error = "PermissionError: [Errno 13] Permission denied: '/crates/.spool'"
    log.write_text(
        line("INFO", "sampler ends")
        + line("ERROR", "the finaliser of this test failed", error=error)
        + line("INFO", "finaliser ends")
    )
    assert relay.look() == [f"prov-worker agent: the finaliser of this test failed: {error}"]
    assert relay.look() == []
    with log.open("a") as file:
        file.write(line("WARNING", "another one of %s", "this test"))
    assert relay.look() == ["prov-worker agent: another one of this test"]


def test_a_line_that_is_being_written_waits_for_its_end(relay: Any, log: Path) -> None:
    text = line("WARNING", "a whole line")
    log.write_text(text[:30])
    assert relay.look() == []
    log.write_text(text)
    assert relay.look() == ["prov-worker agent: a whole line"]


def test_an_agent_that_cannot_begin_is_heard_too(relay: Any, log: Path) -> None:
    log.write_text("Traceback (most recent call last):\n  File ...\nModuleNotFoundError: of this test\n")
    assert relay.look() == ["prov-worker agent: ModuleNotFoundError: of this test"]


def test_many_of_a_kind_are_not_all_said(relay: Any, log: Path) -> None:
    log.write_text("".join(line("WARNING", "task %s of this test: disk full", number) for number in range(20)))
    lines = relay.look()
    assert len(lines) == 3
    assert lines[-1] == f"prov-worker agent: task 2 of this test: disk full (more of this kind: {log})"
    # A log that is shorter is another agent's.
    log.write_text(line("ERROR", "a new one of this test"))
    assert relay.look() == ["prov-worker agent: a new one of this test"]


def test_what_a_task_brought_cannot_steer_the_terminal(relay: Any, log: Path) -> None:
    log.write_text(line("WARNING", "task: %s", "\x1b]0;pwned\x07\nprov-worker agent: forged") + "\x1b[31mprinted\n")
    lines = relay.look()
    assert lines == [
        r"prov-worker agent: task: \x1b]0;pwned\x07\nprov-worker agent: forged",
        r"prov-worker agent: \x1b[31mprinted",
    ]
