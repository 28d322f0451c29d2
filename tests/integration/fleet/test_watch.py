"""``prov-worker fleet watch``: what it does when daemons are killed, disks are full, and configurations are wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import functions
import pytest

from prov_worker.globus import orphans, processes
from support.marks import endpoints

if TYPE_CHECKING:
    import psutil
    from fleet_host import FleetHost
    from service_stack import Stack

    from prov_worker.globus.orphans import PoolProcess

pytestmark = [*endpoints("fleet-watch"), pytest.mark.faults]
NAMES = ("one", "two", "three")
WaitFor = Callable[..., None]


@pytest.fixture
def stranger(host: FleetHost) -> Iterator[subprocess.Popen[bytes]]:
    """A person's own endpoint, running in the same directory of endpoints."""
    from endpoint_daemon import Daemon

    daemon = Daemon(host.user_dir, host.environment)
    daemon.name = "stranger"
    daemon.configure()
    daemon.start()
    assert daemon.process is not None
    yield daemon.process
    host.end_watches()
    daemon.process.kill()
    daemon.process.wait(60)


def alone(host: FleetHost, *names: str) -> bool:
    """Whether each endpoint has one daemon, and no more."""
    return all(len(host.folder(name).cores()) == 1 for name in names)


def pool(host: FleetHost, user: psutil.Process) -> list[PoolProcess]:
    """What runs for a user endpoint."""
    (directory,) = [each.directory for each in host.folder("one").user_endpoints() if each.process == user]
    return [part for part in orphans.pool_processes() if orphans.is_in(part, directory)]


@pytest.mark.long
def test_killed_in_turn_and_all_at_once(
    host: FleetHost, stranger: subprocess.Popen[bytes], wait_for: WaitFor, wait_up: Callable[..., None]
) -> None:
    from globus_compute_sdk import Client, Executor

    host.write(*NAMES, options={"worker_init": f"export PYTHONPATH={Path(functions.__file__).parent}"})
    host.run("up")
    watch = host.watch()
    wait_for(lambda: any(" watch: began" in line for line in host.log()), "the watch")
    assert f"being watched on this host already: {host.state.log.parent}" in host.run("watch", "--once", code=2)

    client = Client()
    endpoint = host.folder("one").endpoint_id
    with Executor(endpoint_id=endpoint, client=client) as executor:
        assert executor.submit(functions.add, 1, 2).result(180) == 3
        under_way = executor.submit(functions.work_for, 4.0)
        wait_for(lambda: host.running("one"), "the task under way")
        for name in NAMES:
            before = host.kill(name)
            wait_up(host, name, before=before)
            assert any(f"process {before[name].pid} is gone" in line for line in host.log(name))
        assert under_way.exception(240) is None

        # All at once, and a user endpoint too, so that nobody ends its interchange and its workers.
        under_way = executor.submit(functions.work_for, 4.0)
        wait_for(lambda: host.running("one"), "the task under way")
        (user,) = [endpoint.process for endpoint in host.folder("one").user_endpoints() if endpoint.process is not None]
        left = pool(host, user)
        assert {part.kind for part in left} == {"interchange", "manager", "worker"}
        before = host.kill(*NAMES)
        user.kill()
        stranger.kill()
        wait_up(host, *NAMES, before=before)
        assert under_way.exception(240) is None
        wait_for(lambda: not [part for part in left if processes.is_alive(part.process)], "what was left to be ended")
        log = host.log("one")
        assert any("ended processes of an earlier run: " in line and "interchange " in line for line in log), log

    assert alone(host, *NAMES)
    assert [host.records()[name].total for name in NAMES] == [2, 2, 2]
    # Its pid file would have been removed, and it would have been started again.
    assert (host.user_dir / "stranger" / "daemon.pid").read_text().strip() == str(stranger.pid)
    assert not [line for line in host.log() if "stranger" in line]

    running = {name: host.core(name) for name in NAMES}
    watch.send_signal(signal.SIGTERM)
    assert watch.wait(60) == 0
    assert host.log()[-1].endswith("endpoints are left alone")
    assert {name: host.core(name) for name in NAMES} == running
    # What was counted is counted still.
    host.run("watch", "--once")
    assert host.json("status")["two"]["restarts"] == 2
    assert {name: host.core(name) for name in NAMES} == running


def test_what_a_killed_user_endpoint_left(host: FleetHost, wait_for: WaitFor) -> None:
    """Its daemon goes on: nobody starts an engine in that folder before the next task."""
    from globus_compute_sdk import Client, Executor

    host.write("one", options={"worker_init": f"export PYTHONPATH={Path(functions.__file__).parent}"})
    host.run("up")
    with Executor(endpoint_id=host.folder("one").endpoint_id, client=Client()) as executor:
        assert executor.submit(functions.add, 1, 2).result(180) == 3

        def left_by_kill() -> list[PoolProcess]:
            (user,) = [each.process for each in host.folder("one").user_endpoints() if each.process is not None]
            parts = pool(host, user)
            assert host.json("status")["one"]["orphans"] == []
            user.kill()
            wait_for(lambda: not processes.is_alive(user), "the user endpoint is gone")
            assert all(processes.is_alive(part.process) for part in parts)
            return parts

        # Shown, and named where it is another fleet's.
        left = left_by_kill()
        row = host.json("status")["one"]
        assert {text.split()[0] for text in row["orphans"]} == {"interchange", "manager", "worker"}
        other = type(host)(host.directory / "other", host.environment)
        other.write("two")
        (interchange,) = [part for part in left if part.kind == "interchange"]
        assert f"not of this fleet, left alone, and its engine is gone: {interchange}" in other.run("status")
        other.run("watch", "--once")
        assert [line for line in other.log("host") if str(interchange) in line]
        assert all(processes.is_alive(part.process) for part in left)

        # The next engine of that folder ends it, and all tasks are answered. Upstream starts none beside the file.
        pid_file = host.folder("one").user_endpoints()[0].directory / "daemon.pid"
        pid_file.unlink()
        assert [executor.submit(functions.add, n, n).result(180) for n in range(4)] == [0, 2, 4, 6]
        assert not [part for part in left if processes.is_alive(part.process)]

        # The watch ends it without a task, also by cron.
        left = left_by_kill()
        host.run("watch", "--once")
        assert not [part for part in left if processes.is_alive(part.process)]
        assert any("ended what a user endpoint left" in line for line in host.log("one"))
        pid_file.unlink(missing_ok=True)
        assert executor.submit(functions.add, 1, 2).result(180) == 3

        # So do a stop and a restart.
        left = left_by_kill()
        assert "interchange " in host.json("restart")["one"]["detail"]
        assert not [part for part in left if processes.is_alive(part.process)]


def test_a_configuration_that_cannot_start(host: FleetHost, wait_for: WaitFor, wait_up: Callable[..., None]) -> None:
    host.write("one", "two", watch={"cap": 3, "backoff": [0.2, 0.4]})
    host.run("up")
    config = host.user_dir / "two" / "config.yaml"
    good = config.read_text()
    config.write_text("display_name: [\n")
    healthy = host.core("one")
    host.kill("two")
    host.watch()
    wait_for(lambda: any("not restarted: 3 restarts in 3600 s" in line for line in host.log("two")), "the cap", 180.0)
    log = host.log("two")
    assert sum("restarted as process" in line for line in log) == 3
    assert sum("ended with code 1: Error: Invalid config syntax" in line for line in log) == 3
    assert any("waits: back-off after 2 in a row" in line for line in log), log
    assert host.core("one") == healthy
    assert [line for line in host.log("one") if "restarted" in line] == []

    # Another watch goes on with what this one counted.
    host.end_watches()
    host.run("watch", "--once")
    assert host.log("two") == log
    row = host.json("status", code=1)["two"]
    assert (row["condition"], row["restarts"]) == ("down", 3)
    assert "Invalid config syntax" in row["last_error"]
    assert "Invalid config syntax" in host.run("logs", "two", "--console")
    assert "as it lies in" in host.json("validate", code=1)["two"]["problem"]
    assert "Invalid config syntax" in host.json("restart", "two", code=1)["two"]["detail"]

    config.write_text(good)
    assert host.json("restart", "two")["two"]["action"] == "started"
    assert host.core("one") == healthy


def test_a_service_that_is_away(host: FleetHost, stack: Stack, wait_for: WaitFor, wait_up: Callable[..., None]) -> None:
    """An outage costs no restart, so that the endpoint comes back by itself however long it was, with one allowed."""
    host.write("one", watch={"cap": 1})
    host.run("up")
    stack.service.stop()
    try:
        before = host.kill("one")
        host.watch()
        failed = "GlobusConnectionError: "
        wait_for(lambda: any(failed in line for line in host.log("one")), "a try in vain", 240.0)
        assert all(line.endswith("; not counted") for line in host.log("one") if failed in line)
    finally:
        stack.service.start()
    wait_up(host, "one", before=before)
    assert alone(host, "one")


@pytest.fixture
def small_disk(host: FleetHost) -> Iterator[Path]:
    """Endpoints and state on a file system of 24 MiB."""
    disk = host.directory
    disk.mkdir()
    mounted = os.getuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m,mode=700", "none", str(disk)], capture_output=True, check=False
    ).returncode == 0  # fmt: skip
    if not mounted:
        pytest.skip("a small disk needs root and the right to mount")
    yield disk
    host.close()
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk(host: FleetHost, small_disk: Path, wait_for: WaitFor, wait_up: Callable[..., None]) -> None:
    metrics = host.directory / "metrics"
    metrics.mkdir()
    host.write("one", "two", watch={"metrics": str(metrics)})
    host.run("up")
    printed = host.directory.parent / "printed"
    with printed.open("wb") as output:
        watch = subprocess.Popen(
            [sys.executable, "-m", "prov_worker", "fleet", "watch"],
            env=host.environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        wait_for(lambda: list(metrics.iterdir()) != [], "the watch")
        state = json.loads(host.state.path.read_text())
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
        before = host.kill("one", "two")
        wait_for(lambda: printed.read_text().count("not counted, tried again") == 2, "the watch says so")
        wait_for(lambda: "cannot be written (disk full): kept in memory" in printed.read_text(), "state is kept")
        time.sleep(1)
        assert printed.read_text().count("not counted, tried again") == 2, "once for each, not each time"
        assert json.loads(host.state.path.read_text()) == state, "as it was"
        assert watch.poll() is None
        filler.unlink()
        wait_up(host, "one", "two", before=before)
        wait_for(lambda: "state.json: written again" in printed.read_text(), "state is written")
        assert [host.records()[name].total for name in ("one", "two")] == [1, 1]
        assert alone(host, "one", "two")
        assert "Traceback" not in printed.read_text()
    finally:
        watch.terminate()
        assert watch.wait(60) == 0
