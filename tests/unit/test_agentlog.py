"""What the container's log says of what agents complain of (docker/agentlog.py)."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from prov_worker.spool.launch import LOG

SOURCE = Path(__file__).resolve().parents[2] / "docker" / "agentlog.py"
STAMP = "2026-01-01 10:00:00,000 agent 7"


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
    log.write_text(
        f"{STAMP} INFO sampler ends\n"
        f"{STAMP} ERROR the finaliser of this test failed\n"
        "Traceback (most recent call last):\n"
        '  File "x.py", line 1, in f\n'
        "PermissionError: [Errno 13] Permission denied: '/crates/.spool'\n"
        f"{STAMP} INFO finaliser ends\n"
    )
    assert relay.look() == [
        (
            "prov-worker agent: the finaliser of this test failed: "
            "PermissionError: [Errno 13] Permission denied: '/crates/.spool'"
        )
    ]
    assert relay.look() == []
    with log.open("a") as file:
        file.write(f"{STAMP} WARNING another one of this test\n")
    assert relay.look() == ["prov-worker agent: another one of this test"]


def test_an_agent_that_cannot_begin_is_heard_too(relay: Any, log: Path) -> None:
    log.write_text("Traceback (most recent call last):\n  File ...\nModuleNotFoundError: of this test\n")
    assert relay.look() == ["prov-worker agent: ModuleNotFoundError: of this test"]


def test_many_of_a_kind_are_not_all_said(relay: Any, log: Path) -> None:
    task = "846b5f22-c091-47d0-94b4-7f10905468{:02d}"
    log.write_text("".join(f"{STAMP} WARNING {task.format(n)} of this test: disk full\n" for n in range(20)))
    lines = relay.look()
    assert len(lines) == 3
    assert lines[-1].endswith(f"(more of this kind: {log})")
    # A log that is shorter is another agent's.
    log.write_text(f"{STAMP} ERROR a new one of this test\n")
    assert relay.look() == ["prov-worker agent: a new one of this test"]
