"""The agent's start: what stands under the names of its files is used only if it is this user's own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from prov_worker.spool import launch
from support.crate_dir import CrateDir, wait_until


def linked(directory: Path, name: str) -> Path:
    """A file of this user's elsewhere, to which a link leads."""
    directory.mkdir(mode=0o700, exist_ok=True)
    victim = directory.parent / f"victim of {name}"
    victim.write_text("precious\n")
    (directory / name).symlink_to(victim)
    return victim


def test_a_link_in_the_place_of_the_lock_is_not_opened(tmp_path: Path) -> None:
    linked(tmp_path / "runtime", launch.LOCK)
    with pytest.raises(OSError, match="symbolic link"):
        launch.open_lock(str(tmp_path / "runtime"))
    assert not launch.agent_lives(str(tmp_path / "runtime"))


def test_a_fifo_in_the_place_of_the_lock_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / launch.LOCK)
    with pytest.raises(PermissionError):
        launch.open_lock(str(tmp_path))


def test_an_agent_starts_where_its_log_is_a_link_and_writes_nothing_there(tmp_path: Path) -> None:
    crate_dir = CrateDir(tmp_path / "crates")
    try:
        victim = linked(crate_dir.runtime, launch.LOG)
        assert launch.ensure_agent(str(crate_dir.runtime), str(crate_dir.crates))
        # it ends by itself, as no worker comes, and says so in its log
        wait_until(lambda: not (crate_dir.runtime / launch.STARTING).exists(), "an agent takes the lock")
        crate_dir.wait_for_end_of_agent()
        assert victim.read_text() == "precious\n"
    finally:
        crate_dir.close()


def test_an_agent_is_in_no_session_of_the_job_from_its_first_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PBS kills what is left of the session when a job ends, be the agent's interpreter still about to begin."""
    program, session = tmp_path / "python", tmp_path / "session"
    program.write_text(f"#!/bin/sh\ncut -d' ' -f6 /proc/$$/stat >{session}.new && mv {session}.new {session}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    assert launch.ensure_agent(str(runtime), str(tmp_path / "crates"))
    wait_until(session.exists, "the program")
    assert int(session.read_text()) != os.getsid(0)
