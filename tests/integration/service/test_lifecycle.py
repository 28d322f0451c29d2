"""Endpoints that are stopped from afar or deleted, and a broker that is reached through the service's own port."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import functions
import pytest
from service_stack import running

from support.commands import run_program

if TYPE_CHECKING:
    from globus_compute_sdk import Client

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
LIMIT_S = 180


def test_one_port_carries_everything_until_the_endpoint_is_stopped_from_afar_and_deleted(
    tmp_path: Path, wait_for: Callable[..., None], wait_online: Callable[[Client, str], None]
) -> None:
    from globus_compute_sdk import Client, Executor
    from globus_compute_sdk.errors import TaskExecutionFailed

    with running(tmp_path / "stack", "--amqp-advertise", "service") as stack:
        assert stack.daemon is not None
        client, endpoint = Client(), stack.daemon.id
        assert ":5000/" in client.get_result_amqp_url()["connection_url"]
        with Executor(endpoint_id=endpoint, client=client) as executor:
            assert [executor.submit(functions.add, n, 1).result(LIMIT_S) for n in range(3)] == [1, 2, 3]

        # From another machine, which has the endpoint's folder but no process of it.
        elsewhere = tmp_path / "elsewhere"
        shutil.copytree(
            stack.daemon.user_dir / stack.daemon.name,
            elsewhere / stack.daemon.name,
            ignore=shutil.ignore_patterns("daemon.pid*", "*.log", "*.sock"),
        )
        done = run_program(
            stack.daemon.command,
            "stop",
            "--remote",
            stack.daemon.name,
            env={**stack.daemon.environment, "GLOBUS_COMPUTE_USER_DIR": str(elsewhere)},
            timeout=180,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        process = stack.daemon.process
        assert process is not None
        wait_for(lambda: process.poll() is not None, "the daemon to end")
        wait_for(lambda: not stack.daemon or not stack.daemon.children(), "its user endpoints to end")
        assert client.get_endpoint_status(endpoint)["status"] == "offline"

        # It starts again as if nothing had been.
        stack.daemon.start()
        wait_online(client, endpoint)
        with Executor(endpoint_id=endpoint, client=client) as executor:
            assert executor.submit(functions.add, 20, 1).result(LIMIT_S) == 21
        stack.daemon.stop()

        # A task that waits for an endpoint fails when that is deleted.
        with Executor(endpoint_id=endpoint, client=client) as executor:
            waiting = executor.submit(functions.add, 1, 1)
            wait_for(lambda: waiting.task_id is not None, "the submission")
            done = run_program(
                stack.daemon.command, "delete", "--yes", stack.daemon.name, env=stack.daemon.environment, timeout=180
            )
            assert done.returncode == 0, done.stdout + done.stderr
            with pytest.raises(TaskExecutionFailed, match="was deleted"):
                waiting.result(LIMIT_S)
        assert client.get_endpoints() == []
        with pytest.raises(Exception, match="not found"):
            client.get_endpoint_status(endpoint)
