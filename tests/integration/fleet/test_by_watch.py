"""What commands leave to the watch: starts and restarts by another version, also on a host that Slurm chose."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import functions
import pytest

from prov_worker.fleet import presence
from prov_worker.globus.daemons import STALE_S
from support.commands import run_program
from support.marks import endpoints

if TYPE_CHECKING:
    from fleet_host import FleetHost

pytestmark = endpoints("fleet-by-watch")
WaitFor = Callable[..., None]
OPTIONS = {"worker_init": f"export PYTHONPATH={Path(functions.__file__).parent}"}


def versions(directory: Path) -> Path:
    """Two environments with the packages of this one, and a link to the first."""
    mine = Path(sys.prefix)
    for name in ("1", "2"):
        environment = directory / "envs" / name
        environment.mkdir(parents=True)
        (environment / "pyvenv.cfg").write_text((mine / "pyvenv.cfg").read_text())
        for part in ("bin", "lib"):
            (environment / part).symlink_to(mine / part)
    current = directory / "current"
    current.symlink_to("envs/1")
    return current


def parent(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[1])


def test_the_watch_starts_what_commands_ask_for_and_follows_its_environment(host: FleetHost, wait_for: WaitFor) -> None:
    current = versions(host.directory)
    host.python = str(current / "bin" / "python")
    host.write("one", options=OPTIONS)
    watch = host.watch("--stop-endpoints")
    wait_for(lambda: presence.read(host.state.directory), "the watch")

    started = host.json("up")["one"]
    assert started["action"] == "started"
    assert started["detail"].startswith("created, process ")
    assert started["detail"].endswith(", by the watch")
    first = host.core("one")
    assert first is not None
    assert parent(first.pid) == watch.pid
    row = host.json("status", "--online", "--timeout", "60")["one"]
    assert (row["service"], row["stale"]) == ("online", [])
    assert row["software"].endswith(str(current.parent / "envs" / "1"))
    assert "online" in host.run("status", "--online")
    assert host.json("restart", "--stale")["one"]["action"] == "running"

    # Another configuration.
    host.write("one", options=OPTIONS | {"retries": 1})
    assert host.json("up")["one"]["action"] == "configured"
    row = host.json("status")["one"]
    assert row["stale"] == ["configuration"]
    assert "was started with other configuration than there is now: prov-worker fleet restart one" in row["note"]
    assert host.json("restart", "--stale")["one"]["action"] == "started"
    second = host.core("one")
    assert second not in (None, first)

    # Another version: the watch becomes that, then it restarts the daemon.
    current.unlink()
    current.symlink_to("envs/2")
    assert host.json("status")["one"]["stale"] == ["software"]
    assert host.json("restart", "--stale")["one"]["action"] == "started"
    third = host.core("one")
    assert third not in (None, second)
    assert third is not None
    assert watch.poll() is None
    assert parent(third.pid) == watch.pid
    assert host.json("status")["one"]["software"].endswith(str(current.parent / "envs" / "2"))
    assert any("watch: begins again: the environment is " in line for line in host.log())
    assert host.records()["one"].total == 0, "none of it was a restart that counts"
    # It knows how those ended that it started before it became that.
    os.kill(third.pid, signal.SIGKILL)
    wait_for(lambda: host.up("one", third), "it is restarted")
    assert any(f"process {third.pid} is gone, ended with SIGKILL" in line for line in host.log("one"))

    watch.send_signal(signal.SIGTERM)
    assert watch.wait(180) == 0
    assert host.core("one") is None
    assert host.log()[-1].endswith("endpoints are stopped")
    assert presence.read(host.state.directory) is None
    # Started by a command, since there is no watch; ended with the watch, which comes and goes.
    assert host.json("up")["one"]["action"] == "started"
    host.watch("--stop-endpoints")
    wait_for(lambda: presence.read(host.state.directory), "the watch")
    assert host.json("stop", "--watch")["one"]["action"] == "stopped"
    assert presence.read(host.state.directory) is None
    assert host.json("status")["one"]["condition"] == "stopped"
    assert "Exit" not in host.run("status", "--online", "--timeout", "0", code=1)


@pytest.fixture
def other_host() -> list[str]:
    """What runs a command on another host with the same home and network: it has its own name and processes."""
    command = ["unshare", "--uts", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc", "sh", "-c"]
    # It lives on when the command has ended, until it is killed.
    script = 'hostname other-host && "$@"; exec sleep 600'
    done = run_program(*command, "hostname other-host && hostname")
    if done.stdout != "other-host\n":
        pytest.skip(f"no name spaces of hosts and processes: {done.stderr.strip()}")
    return [*command, script, "sh"]


def test_a_daemon_on_a_host_that_a_batch_system_chose(
    host: FleetHost, other_host: list[str], wait_for: WaitFor
) -> None:
    from globus_compute_sdk import Client, Executor

    host.write("one", options=OPTIONS, unbound_host=True)
    left = host.json("up")["one"]
    assert (left["action"], left["good"]) == ("left to the watch", True)
    assert host.json("status", code=1)["one"]["condition"] == "down"

    watch = host.watch("--stop-endpoints", prefix=other_host)
    row = host.json("status", "--online", "--timeout", "100")["one"]
    assert (row["condition"], row["host"], row["elsewhere"]) == ("running", "other-host", True)
    assert row["stale"] == []
    assert "running on other-host" in host.run("status")
    assert host.core("one") is None, "its process cannot be seen from here"
    assert "is being watched on other-host already" in host.run("watch", "--once", code=2)
    assert host.json("up")["one"]["action"] == "running"
    assert host.json("restart", "--stale")["one"]["action"] == "running"

    # Tasks under way are seen from here.
    with Executor(endpoint_id=host.folder("one").endpoint_id, client=Client()) as executor:
        go = host.directory / "go"
        future = executor.submit(functions.work_after, str(go), 2.0)
        wait_for(lambda: host.running("one"), "the task under way")
        busy = host.json("status", "--drained", "--timeout", "0", code=1)["one"]
        assert busy["note"].startswith("1 task is not done after 0 s")
        go.touch()
        assert host.json("status", "--drained", "--timeout", "90")["one"]["condition"] == "running"
        assert future.exception(60) is None

    # The watch there does what commands here ask for.
    host.write("one", options=OPTIONS | {"retries": 1}, unbound_host=True)
    assert host.json("up")["one"]["action"] == "configured"
    assert host.json("status")["one"]["stale"] == ["configuration"]
    restarted = host.json("restart", "--stale")["one"]
    assert restarted["action"] == "started"
    assert restarted["detail"].endswith(" on other-host, by the watch")
    assert host.json("status")["one"]["stale"] == []
    assert host.json("stop")["one"]["action"] == "stopped"
    assert host.json("status")["one"]["condition"] == "stopped"
    assert host.json("restart")["one"]["action"] == "started"

    # The host goes, with all that runs on it: the next one starts it, once its pid file is stale.
    watch.kill()
    wait_for(lambda: not host.folder("one").cores(), "the host is gone")
    for file in (host.state.directory / "watch.json", host.folder("one").pid_file):
        os.utime(file, (time.time() - STALE_S - 1,) * 2)
    host.watch("--stop-endpoints")
    wait_for(lambda: host.core("one"), "it is started here", 180.0)
    row = host.json("status", "--online")["one"]
    assert (row["condition"], row["elsewhere"]) == ("running", False)
    assert any("on other-host is gone" in line for line in host.log("one"))
    assert host.json("stop", "--watch")["one"]["action"] == "stopped"


def test_a_daemon_on_another_host_without_a_watch(host: FleetHost, other_host: list[str], wait_for: WaitFor) -> None:
    host.write("one", unbound_host=True)
    host.run("up")
    host.watch(prefix=other_host)
    host.json("status", "--online", "--timeout", "100")
    # This host sees the processes of name spaces below its own, under other numbers.
    assert len(host.folder("one").cores()) == 1
    # Its process cannot be signalled from here, and ends when its pid file is gone.
    assert presence.end(host.state.directory, 60.0) is None
    stopped = host.json("stop")["one"]
    assert stopped["action"] == "stopped"
    assert "on other-host ends within a minute, without its pid file" in stopped["detail"]
    wait_for(lambda: not host.folder("one").cores(), "the daemon ends", 180.0)
