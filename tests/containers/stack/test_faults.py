"""Parts of the stack are taken away while tasks run: no task and no crate is lost."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from prov_worker.crate.reader import StepCrate

if TYPE_CHECKING:
    from conftest import Stack  # of this folder

pytestmark = [
    pytest.mark.docker,
    pytest.mark.slow,
    pytest.mark.faults,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("stack"),
]

#: Kills the processes of the container whose command line holds a text (there is no pkill in the image).
KILL = """
for process in /proc/[0-9]*; do
    if tr '\\0' ' ' <$process/cmdline 2>/dev/null | grep -q -- '{text}' && [ ${{process#/proc/}} != $$ ]; then
        kill -KILL ${{process#/proc/}} && echo killed
    fi
done
"""


def restart_broker(stack: Stack) -> None:
    stack.compose("restart", "broker")


def restart_service(stack: Stack) -> None:
    stack.compose("restart", "service")


def kill_endpoint(stack: Stack) -> None:
    stack.compose("kill", "--signal", "SIGKILL", "endpoint")
    stack.compose("start", "endpoint")


def kill_user_endpoint(stack: Stack) -> None:
    # The core endpoint's title has a star before the bracket.
    assert stack.shell("endpoint", KILL.format(text="Globus Compute Endpoint (")).strip() == "killed"


def cut_network(stack: Stack) -> None:
    network, net = f"{stack.project}_back", stack.container("net")
    stack.docker("network", "disconnect", network, net)
    time.sleep(12)
    stack.docker("network", "connect", network, net)


#: Two are shown by tests/integration/service/test_faults.py too: here they are for `make test-long`.
FAULTS = [
    restart_service, kill_endpoint, cut_network,
    *(pytest.param(fault, marks=pytest.mark.long) for fault in (restart_broker, kill_user_endpoint)),
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_nothing_is_lost(fault: Callable[[Stack], None], stack: Stack) -> None:
    work = stack.submit(count=40, seconds=0.5)
    work.wait_first()
    fault(stack)
    endings = work.endings()
    assert sorted(value for how, value in endings.values() if how == "success") == list(range(40)), endings
    crates = stack.sound_crates(work.tasks)
    assert {crate.status for crate in crates.values()} == {"completed"}
    attempts = {(task, crate.attempt): "completed" for task, crate in crates.items()}
    assert stack.until(lambda: stack.live(work.tasks).items() >= attempts.items()), stack.live(work.tasks)
    stack.wait_well()


def test_a_killed_worker_fails_its_task_alone(stack: Stack) -> None:
    work = stack.submit("die", count=8, seconds=1.0)
    endings = work.endings()
    assert sorted(value for how, value in endings.values() if how == "success") == [0, 2, 4, 6]
    failed = {task: text for task, (how, text) in endings.items() if how == "failed"}
    assert len(failed) == 4
    assert all("WorkerLost" in text for text in failed.values()), failed
    crates = stack.sound_crates(work.tasks)
    for task, crate in crates.items():
        assert crate.status == ("failed" if task in failed else "completed")
        assert (crate.error is not None) == (task in failed)


def test_a_killed_worker_costs_an_attempt(stack: Stack) -> None:
    work = stack.submit("die", count=8, seconds=1.0, options={"retries": 2})
    endings = work.endings()
    assert sorted(value for how, value in endings.values() if how == "success") == list(range(8)), endings
    crates = stack.sound_crates(work.tasks)
    assert {crate.status for crate in crates.values()} == {"completed"}
    again = [task for task, (_, number) in endings.items() if number % 2]
    assert all(crates[task].attempt > 1 for task in again)
    # The attempt that was killed left a crate as well.
    first = [StepCrate.open(stack.crates / f"{task}.attempt-1.crate") for task in again]
    assert {crate.status for crate in first} == {"failed"}


def test_a_full_disk_delays_crates(stack: Stack, tmp_path: Path) -> None:
    """Crates that find no space are written when there is room again."""
    volume = f"{stack.project}_full"
    options = ("--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=size=2m,mode=1777")
    stack.docker("volume", "create", *options, volume)
    name = f"{stack.project}-full"
    run = ("run", "--detach", "--no-deps", "--name", name, "--volume", f"{volume}:/crates", "--volume", "/var/lib/prov")
    stack.compose(*run, "--env", "PROV_STACK_ENDPOINT_NAME=full", "--env", "PROV_WORKER_STREAM=", "endpoint")
    try:
        ask = ("exec", name, "/opt/prov/container/health.py", "endpoint")
        assert stack.until(lambda: not subprocess.run(["docker", *ask], capture_output=True, check=False).returncode)
        where = stack.docker("exec", name, "cat", "/var/lib/prov/globus_compute/full/endpoint.json")
        endpoint_id = json.loads(where)["endpoint_id"]
        stack.docker("exec", name, "sh", "-c", "head -c 4m /dev/zero > /crates/in-the-way || true")
        work = stack.submit(count=12, seconds=0.3, endpoint_id=endpoint_id)
        endings = work.endings()
        assert sorted(value for how, value in endings.values() if how == "success") == list(range(12)), endings
        listed = stack.docker("exec", name, "ls", "/crates")
        assert ".crate" not in listed
        # On standard error.
        log = subprocess.run(["docker", "logs", name], capture_output=True, text=True, check=True).stderr
        assert "prov-worker agent: " in log
        assert "No space left on device" in log

        stack.docker("exec", name, "rm", "/crates/in-the-way")
        names = [f"{task}.crate" for task in work.tasks]
        assert stack.until(lambda: not set(names) - set(stack.docker("exec", name, "ls", "/crates").split()))
        # `docker cp` does not see a tmpfs.
        packed = subprocess.run(
            ["docker", "exec", name, "tar", "-C", "/crates", "-c", "."], capture_output=True, check=True
        )
        subprocess.run(["tar", "-C", str(tmp_path), "-x", "--no-same-owner"], input=packed.stdout, check=True)
        crates = stack.sound_crates(work.tasks, tmp_path)
        assert {crate.status for crate in crates.values()} == {"completed"}
    finally:
        stack.docker("rm", "--force", "--volumes", name, check=False)
        stack.docker("volume", "rm", "--force", volume, check=False)
