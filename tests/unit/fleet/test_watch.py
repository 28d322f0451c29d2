"""When an endpoint that is down may be started again."""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prov_worker.errors import InputError
from prov_worker.fleet import fleetfile, launch, presence, supervisor
from prov_worker.fleet.fleetfile import Fleet
from prov_worker.fleet.state import EndpointRecord, State
from prov_worker.fleet.watch import Watcher
from prov_worker.globus import daemons
from support.pretend import Pretender


def test_one_that_gives_no_sign_of_life_is_ended_after_two_looks(
    fleet: Fleet, endpoint: Path, pretend: Pretender, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (daemons, supervisor):
        monkeypatch.setattr(module, "STALE_S", 0.2)
    monkeypatch.setattr(supervisor, "HANGS_S", 600.0)
    daemon = pretend("globus-compute-endpoint", "start", "one", opened=endpoint / "endpoint.log")
    (endpoint / "daemon.pid").write_text(f"{daemon.pid}\n")
    lines: list[str] = []
    watcher = Watcher(fleet, State(fleet), lines.append, threading.Event())
    watcher.look()
    assert any(f"runs as process {daemon.pid}, which this watch did not start" in line for line in lines)
    time.sleep(0.3)
    watcher.look()
    assert daemon.poll() is None
    monkeypatch.setattr(supervisor, "HANGS_S", 0.0)
    watcher.look()
    daemon.wait(60)
    assert any("gave no sign of life for" in line and line.endswith("it is ended") for line in lines)
    assert "gave no sign of life" in State(fleet).load()["one"].last_error
    assert len([line for line in lines if " two: not created yet" in line]) == 1, "said once"


def test_how_one_ended_is_known_if_it_ends_while_it_is_looked_at(
    fleet: Fleet, endpoint: Path, pretend: Pretender, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = pretend("globus-compute-endpoint", "start", "one", opened=endpoint / "endpoint.log")
    (endpoint / "daemon.pid").write_text(f"{daemon.pid}\n")
    lines: list[str] = []
    watcher = Watcher(fleet, State(fleet), lines.append, threading.Event())
    watcher.look()
    plain = supervisor.ManagedEndpoint.core

    def core(self: supervisor.ManagedEndpoint, *arguments: Any) -> Any:
        # After it was asked whether it has ended; its exit status stays to be read.
        daemon.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, daemon.pid, os.WEXITED | os.WNOWAIT)
        return plain(self, *arguments)

    monkeypatch.setattr(supervisor.ManagedEndpoint, "core", core)
    watcher.look()
    assert any(f"process {daemon.pid} is gone, ended with SIGKILL" in line for line in lines), lines


def test_nothing_is_done_while_another_command_is_at_work(fleet: Fleet, endpoint: Path) -> None:
    lines: list[str] = []
    state = State(fleet)
    watcher = Watcher(fleet, state, lines.append, threading.Event())
    # A lock belongs to a descriptor: the watch's own is as another process's.
    with state.lock("commands"):
        for _ in range(2):
            watcher.look()
    assert [line.split(" ", 1)[1] for line in lines] == [
        "watch: another command is at work on this fleet; looks again later"
    ]


@pytest.fixture
def running(endpoint: Path, pretend: Pretender) -> subprocess.Popen[bytes]:
    """The daemon of ``one``."""
    process = pretend("globus-compute-endpoint", "start", "one", opened=endpoint / "endpoint.log")
    (endpoint / "daemon.pid").write_text(f"{process.pid}\n")
    return process


def test_a_stop_that_a_command_asks_for_is_done(fleet: Fleet, running: subprocess.Popen[bytes]) -> None:
    lines: list[str] = []
    watcher = Watcher(fleet, State(fleet), lines.append, threading.Event())
    watcher.look()
    with State(fleet).records() as records:
        records["one"].ask("stop", launch.software())
    watcher.look()
    assert running.wait(60) == -signal.SIGTERM
    record = State(fleet).load()["one"]
    assert (record.asked, record.wanted, record.pid, record.taken_at) == ("", "stopped", 0, record.asked_at)
    assert any(f"one: asked for a stop: process {running.pid} ended" in line for line in lines)
    watcher.look()
    assert lines[-1].endswith("stopped by a person; left alone")


def test_a_restart_is_done_by_the_version_that_asks(fleet: Fleet, running: subprocess.Popen[bytes]) -> None:
    lines: list[str] = []
    watcher = Watcher(fleet, State(fleet), lines.append, threading.Event())
    watcher.look()
    with State(fleet).records() as records:
        records["one"].ask("restart", "another version")
    for _ in range(2):
        watcher.look()
    assert [line.split(" ", 1)[1] for line in lines if "waits" in line] == [
        "one: waits to become what asked for a restart: another version"
    ]
    assert State(fleet).load()["one"].asked == "restart"
    # It did not become that: the command has given up by now, or was killed.
    with State(fleet).records() as records:
        records["one"].asked_at -= 1000
    watcher.look()
    assert State(fleet).load()["one"].asked == ""
    assert any("restart: not done, since another version asked" in line for line in lines)
    assert running.poll() is None


def test_endpoints_end_with_a_watch_that_is_told_so(fleet: Fleet, running: subprocess.Popen[bytes]) -> None:
    lines: list[str] = []
    ended = threading.Event()
    ended.set()
    Watcher(fleet, State(fleet), lines.append, ended).run()
    assert running.poll() is None
    assert lines[-1].endswith("endpoints are left alone")
    with State(fleet).records() as records:
        records["one"] = EndpointRecord()
        records["one"].restarts = [time.time()]
    Watcher(fleet, State(fleet), lines.append, ended).run(stop_endpoints=True)
    assert running.wait(60) == -signal.SIGTERM
    assert lines[-1].endswith("endpoints are stopped")
    record = State(fleet).load()["one"]
    assert (record.wanted, record.pid, record.restarts) == ("up", 0, []), "the next watch starts it at once"
    assert presence.read(State(fleet).directory) is None


def test_one_watch_among_hosts_that_do_not_lock(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    state = State(fleet)
    file = state.directory / "watch.json"
    file.write_text(json.dumps({"host": "login99", "pid": 3, "start": 1, "boot": "b", "software": "s"}))
    gone = threading.Event()

    def live() -> None:
        while not gone.wait(0.1):
            os.utime(file)

    other = threading.Thread(target=live)
    other.start()
    try:
        with pytest.raises(InputError, match="is being watched on login99 already, by process 3"):
            Watcher(fleet, state, print, threading.Event()).run(once=True)
    finally:
        gone.set()
        other.join()
    # It has failed: it touches its file no more.
    monkeypatch.setattr(presence, "STALE_S", 1.0)
    lines: list[str] = []
    Watcher(fleet, state, lines.append, threading.Event()).run(once=True)
    # Others are of processes that tests beside this one have left.
    assert [text for line in lines if (text := line.split(" ", 1)[1]).startswith(("one:", "two:"))] == [
        "one: not created yet: prov-worker fleet up one",
        "two: not created yet: prov-worker fleet up two",
    ]


def test_systemd_is_told_that_it_works(fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        ended = threading.Event()
        ended.set()
        Watcher(fleet, State(fleet), print, ended).run(stop_endpoints=True)
        assert [manager.recv(100), manager.recv(100)] == [b"READY=1", b"STOPPING=1"]


def test_the_next_look_is_when_a_restart_is_due(fleet: Fleet, endpoint: Path) -> None:
    state = State(fleet)
    watcher = Watcher(fleet, state, print, threading.Event())

    def due(**changes: Any) -> float:
        state.save({"one": replace(EndpointRecord(down_at=1.0, next_at=time.time() + 8, pid=1), **changes)})
        watcher.look()
        return watcher._due_s

    assert 0 < due() <= 8
    assert due(wanted="stopped") == math.inf
    # The cap lets it wait for longer than that.
    assert due(next_at=1.0, restarts=[time.time()] * 5) == math.inf


def test_a_daemon_that_an_earlier_host_left_is_dismissed(fleet: Fleet, endpoint: Path) -> None:
    """No signal reaches it: it ends without its pid file, and is started here when it has."""
    fleet.file.write_text(fleet.file.read_text() + "unbound_host: true\n")
    shared = fleetfile.read(fleet.file)
    state, lines = State(shared), list[str]()
    pid_file = endpoint / "daemon.pid"
    pid_file.write_text("4194304\n")  # of a process that cannot be here
    with state.records() as records:
        records["one"] = EndpointRecord(pid=4194304, host="login99", ran_at=1.0)
        records["one"].ask("restart", launch.software())
    watcher = Watcher(shared, state, lines.append, threading.Event())
    watcher.look()
    assert not pid_file.exists()
    assert any("its process is on another host, and ends without its pid file" in line for line in lines)
    record = State(shared).load()["one"]
    assert (record.asked, record.wanted, record.pid) == ("", "up", 0)
    assert 0 < watcher._due_s <= 60
    watcher.look()
    assert State(shared).load()["one"].pid == 0, "not started before it has ended there"
