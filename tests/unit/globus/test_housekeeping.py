"""What an engine does beside its tasks never reaches it."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("globus_compute_endpoint")

from prov_worker.globus import housekeeping, orphans
from prov_worker.spool.paths import spool_dir


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads do their work as they start."""

    class Now:
        def __init__(self, target: Any, args: Any, **_: Any) -> None:
            self.start = lambda: target(*args)

    monkeypatch.setattr(housekeeping.threading, "Thread", Now)


def test_a_spool_with_journals_has_leftovers(tmp_path: Path) -> None:
    spool = Path(spool_dir(str(tmp_path)))
    assert not housekeeping.has_leftovers(str(tmp_path))
    spool.mkdir(parents=True)
    (spool / "other.json").touch()
    assert not housekeeping.has_leftovers(str(tmp_path))
    (spool / "a.jsonl").touch()
    assert housekeeping.has_leftovers(str(tmp_path))


@pytest.mark.usefixtures("at_once")
def test_an_agent_that_cannot_be_started_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def refuse() -> None:
        raise OSError("no processes left")

    housekeeping.begin(str(tmp_path), refuse, recover=True)
    (record,) = caplog.records
    assert record.getMessage() == f"housekeeping of {tmp_path} failed; `prov-worker recover` repairs it"


def test_no_thread_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(**_: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(housekeeping.threading, "Thread", refuse)
    housekeeping.begin(str(tmp_path), None, recover=False)
    assert [record.getMessage() for record in caplog.records] == ["cannot start housekeeping"]


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(("code", "level"), [("print('two crates')", logging.INFO), ("exit(3)", logging.WARNING)])
def test_what_recover_says_is_logged(
    code: str, level: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """By a program in the place of ours: as loud as it ended."""
    program = tmp_path / "program"
    program.write_text(f"#!{sys.executable}\n{code}\n")
    program.chmod(0o755)
    monkeypatch.setattr(housekeeping.sys, "executable", str(program))
    caplog.set_level(logging.INFO, housekeeping.__name__)
    housekeeping.begin(str(tmp_path), None, recover=True)
    output = "two crates" if level == logging.INFO else "no output"
    assert [(r.levelno, r.getMessage()) for r in caplog.records] == [
        (level, f"records of earlier runs in {tmp_path}: {output}")
    ]


def test_processes_that_cannot_be_listed_are_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(**_: Any) -> None:
        raise PermissionError("/proc")

    monkeypatch.setattr(orphans, "pool_processes", refuse)
    housekeeping.end_orphans(str(tmp_path))
    (record,) = caplog.records
    assert record.getMessage() == f"cannot look for what an earlier engine of {tmp_path} left"
