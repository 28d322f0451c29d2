"""Whose a daemon is, whether it runs, and what earlier runs left: real processes with the command lines of daemons."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

from prov_worker.errors import InputError
from prov_worker.fleet.daemon import end_leftovers
from prov_worker.fleet.endpoint import ManagedEndpoint
from prov_worker.fleet.fleetfile import Fleet
from prov_worker.fleet.orphans import foreign
from prov_worker.globus.daemons import STALE_S
from prov_worker.globus.processes import is_alive, living
from support.pretend import Pretender

ENDPOINT = "5d9f8a52-3b1c-4f0e-8a44-0d2f4a6f1c01"
START = ("/venv/bin/python", "/venv/bin/globus-compute-endpoint", "start")
TITLE = f"Globus Compute Endpoint *({ENDPOINT}, one) [/venv/bin/globus-compute-endpoint start one]"


@pytest.fixture
def folder(fleet: Fleet, endpoint: Path) -> ManagedEndpoint:
    return ManagedEndpoint(fleet.endpoints[0])


def write_pid(folder: ManagedEndpoint, pid: int, age_s: float = 0.0) -> None:
    folder.pid_file.write_text(f"{pid}\n")
    at = time.time() - age_s
    os.utime(folder.pid_file, (at, at))


def end(started: subprocess.Popen[bytes]) -> None:
    started.kill()
    started.wait()


def test_without_a_pid_file(folder: ManagedEndpoint) -> None:
    assert folder.core().state == "absent"


@pytest.mark.parametrize("command", [(*START, "one"), (TITLE,)], ids=["command line", "title"])
def test_a_daemon_that_runs(folder: ManagedEndpoint, pretend: Pretender, command: tuple[str, ...]) -> None:
    daemon = pretend(*command, opened=folder.log)
    write_pid(folder, daemon.pid)
    core = folder.core()
    assert (core.state, core.process) == ("running", living(daemon.pid))
    assert folder.cores() == [core.process]
    # One without a pid file is starting or ending: it is seen too.
    folder.pid_file.unlink()
    assert folder.cores() == [core.process]


@pytest.mark.parametrize(
    "command",
    [(*START, "other"), (TITLE.replace(", one)", ", another one)"),), ("/bin/sleep", "one")],
    ids=["other name", "other title", "other program"],
)
def test_a_number_that_another_process_has(
    folder: ManagedEndpoint, pretend: Pretender, command: tuple[str, ...]
) -> None:
    other = pretend(*command)
    write_pid(folder, other.pid)
    assert folder.core().state == "elsewhere", "perhaps it is that of a daemon on another host"
    assert folder.core(other.pid).state == "stale", "it was started here"
    write_pid(folder, other.pid, STALE_S + 1)
    assert folder.core().state == "stale", "nobody touches it"


def test_a_daemon_of_the_same_name_that_began_after_the_last_touch(folder: ManagedEndpoint, pretend: Pretender) -> None:
    daemon = pretend(*START, "one")
    write_pid(folder, daemon.pid, STALE_S + 30)
    assert folder.core().state == "stale"


def test_a_daemon_that_was_killed(folder: ManagedEndpoint, pretend: Pretender) -> None:
    daemon = pretend(*START, "one")
    end(daemon)
    write_pid(folder, daemon.pid)
    assert folder.core().state == "elsewhere"
    assert folder.core(daemon.pid).state == "stale"


@pytest.mark.parametrize("age_s, state", [(0, "elsewhere"), (10, "stale")])
def test_a_pid_file_without_a_number(folder: ManagedEndpoint, age_s: float, state: str) -> None:
    folder.pid_file.write_text("")
    at = time.time() - age_s
    os.utime(folder.pid_file, (at, at))
    assert folder.core().state == state


def test_the_same_name_in_another_directory_of_endpoints(
    folder: ManagedEndpoint, pretend: Pretender, tmp_path: Path
) -> None:
    pretend(*START, "one", GLOBUS_COMPUTE_USER_DIR=str(tmp_path / "another"))
    assert folder.cores() == []
    mine = pretend(*START, "one", GLOBUS_COMPUTE_USER_DIR=str(folder.spec.user_dir))
    assert folder.cores() == [living(mine.pid)]


def test_what_user_endpoints_left(folder: ManagedEndpoint, pretend: Pretender) -> None:
    user = folder.spec.user_dir / f"uep.{ENDPOINT}.1"
    other = folder.spec.user_dir / "uep.another.1"
    for directory in (user, other):
        (directory / "HTEX").mkdir(parents=True)
    interchange = pretend.orphan("parsl: HTEX interchange", opened=user / "HTEX" / "interchange.log")
    manager = pretend.orphan("python", "process_worker_pool.py", f"--logdir={user}/HTEX")
    pretend.orphan("parsl: HTEX interchange", opened=other / "HTEX" / "interchange.log")
    pretend.orphan("python", "-m", "prov_worker.agent.main", GLOBUS_COMPUTE_ENDPOINT_DIR=str(user))
    assert {part.process for part in folder.orphans()} == {interchange, manager}

    # A user endpoint that lives keeps what it started, and not what was there before it.
    time.sleep(0.05)
    living_user = pretend("globus-compute-endpoint", "_start-user-endpoint", user.name, opened=user / "endpoint.log")
    (user / "daemon.pid").write_text(f"{living_user.pid}\n")
    fresh = pretend.orphan("parsl: HTEX interchange", opened=user / "HTEX" / "interchange.log")
    assert {part.process for part in folder.orphans()} == {interchange, manager}
    assert folder.clean() == []
    # Without its daemon nobody will end it.
    assert folder.abandoned() == [living(living_user.pid)]
    end(living_user)
    assert folder.abandoned() == []
    os.utime(user / "daemon.pid", (0, 0))
    assert {part.process for part in folder.orphans()} == {interchange, manager, fresh}
    assert folder.clean() == [user.name]
    assert not (user / "daemon.pid").exists()


def test_leftovers_are_ended_and_those_of_others_are_named(
    fleet: Fleet, folder: ManagedEndpoint, pretend: Pretender
) -> None:
    user = folder.spec.user_dir / f"uep.{ENDPOINT}.1"
    other = folder.spec.user_dir / "uep.another.1"
    for directory in (user, other):
        (directory / "HTEX").mkdir(parents=True)
    mine = pretend.orphan("parsl: HTEX interchange", opened=user / "HTEX" / "interchange.log")
    theirs = pretend.orphan("parsl: HTEX interchange", opened=other / "HTEX" / "interchange.log")
    living_user = pretend("globus-compute-endpoint", "_start-user-endpoint", user.name, opened=user / "endpoint.log")
    assert theirs in {part.process for part in foreign(fleet)}
    assert mine not in {part.process for part in foreign(fleet)}
    (text,) = end_leftovers(folder)
    assert text == f"ended processes of an earlier run: user endpoint {living_user.pid}, interchange {mine.pid}"
    assert not is_alive(mine)
    assert is_alive(theirs)
    assert end_leftovers(folder) == []


def test_whose_a_directory_is(folder: ManagedEndpoint, fleet: Fleet) -> None:
    marker = folder.directory / "prov_worker.json"
    assert folder.foreign() is None
    marker.write_text(f'{{"host": "{socket.gethostname()}"}}')
    assert folder.foreign() is None
    marker.write_text('{"host": "login99.example.org"}')
    assert (folder.other_host(), folder.foreign()) == ("login99.example.org", "belongs to login99.example.org")
    marker.unlink()
    assert "was not created by prov-worker" in str(folder.foreign())
    assert ManagedEndpoint(fleet.endpoints[1]).foreign() is None, "not created yet"
    marker.write_text("{")
    with pytest.raises(InputError, match=r"prov_worker\.json: invalid JSON"):
        folder.foreign()
