"""What the stock SDK offers, through the real daemon and a real broker."""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import functions
import pytest

if TYPE_CHECKING:
    from globus_compute_sdk import Client
    from service_stack import Stack

# One stack for all of them.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.xdist_group("service-sdk")]
LIMIT_S = 180


def _daemon_id(stack: Stack) -> str:
    assert stack.daemon is not None
    return stack.daemon.id


def _poll(client: Client, tasks: list[str]) -> dict[str, dict[str, Any]]:
    deadline = time.monotonic() + LIMIT_S
    while True:
        results = client.get_batch_result(tasks)
        if len(results) == len(tasks) and not any(each["pending"] for each in results.values()):
            return results
        assert time.monotonic() < deadline, results
        time.sleep(0.2)


def _wait_for_task(client: Client, task: str) -> dict[str, Any]:
    deadline = time.monotonic() + LIMIT_S
    while (document := client.get_task(task))["pending"]:
        assert time.monotonic() < deadline, document
        time.sleep(0.2)
    return dict(document)


def test_endpoint_is_online_and_described(
    stack: Stack, client: Client, wait_online: Callable[[Client, str], None]
) -> None:
    endpoint = _daemon_id(stack)
    wait_online(client, endpoint)
    metadata = client.get_endpoint_metadata(endpoint)
    assert metadata["uuid"] == endpoint
    assert metadata["display_name"] == "Test endpoint"
    assert "GlobusComputeEngine" in metadata["user_config_template"]
    assert [each["uuid"] for each in client.get_endpoints()] == [endpoint]
    assert client.get_allowed_functions(endpoint)["restricted"] is False


def test_executor(stack: Stack, client: Client) -> None:
    from globus_compute_sdk import Executor, ShellFunction
    from globus_compute_sdk.errors import TaskExecutionFailed

    with Executor(endpoint_id=_daemon_id(stack), client=client) as executor:
        future = executor.submit(functions.add, 5, 10)
        raising = executor.submit(functions.refuse, "not today")
        shell = executor.submit(ShellFunction("echo {word}; echo oops >&2; exit 3"), word="hello")
        function = executor.register_function(functions.repeat)
        again = [executor.submit_to_registered_function(function, args=("ab",), kwargs={"times": n}) for n in range(4)]
        assert future.result(LIMIT_S) == 15
        assert [each.result(LIMIT_S) for each in again] == ["", "ab", "abab", "ababab"]
        with pytest.raises(TaskExecutionFailed, match="ValueError: not today"):
            raising.result(LIMIT_S)
        result = shell.result(LIMIT_S)
    assert (result.returncode, result.stdout.strip()) == (3, "hello")
    assert "oops" in result.stderr
    assert uuid.UUID(future.task_id)


def test_batches_tasks_and_source_code(stack: Stack, client: Client) -> None:
    from globus_compute_sdk.errors import TaskExecutionFailed, TaskPending

    source = "def shout(word):\n    return word.upper() + 'é'\n"
    shout = client.register_source_code(source, "shout")
    add = client.register_function(functions.add, description="sum")
    refuse = client.register_function(functions.refuse)
    batch = client.create_batch()
    for n in range(3):
        batch.add(add, (n, 1))
    batch.add(shout, ("hé",))
    submitted = client.batch_run(_daemon_id(stack), batch)
    assert submitted["endpoint_id"] == _daemon_id(stack)
    tasks: dict[str, list[str]] = {str(key): value for key, value in submitted["tasks"].items()}
    results = _poll(client, [*tasks[add], *tasks[shout]])
    assert [results[each]["result"] for each in tasks[add]] == [1, 2, 3]
    assert results[tasks[shout][0]]["result"] == "HÉé"

    alone = client.run(2, right=3, endpoint_id=_daemon_id(stack), function_id=add)
    with pytest.raises(TaskPending):
        client.get_result(alone)
    document = _wait_for_task(client, alone)
    assert client.get_result(alone) == 5
    assert document["status"] == "success"
    assert float(document["completion_t"]) > 0
    assert document["details"]["python_version"] == sys.version.split()[0]
    failing = client.run("no", endpoint_id=_daemon_id(stack), function_id=refuse)
    with pytest.raises(TaskExecutionFailed, match="ValueError: no"):
        _wait_for_task(client, failing)
    assert client.get_function(add)["description"] == "sum"
    client.delete_function(add)
    with pytest.raises(Exception, match="not found"):
        client.get_function(add)


def test_reload_tasks(stack: Stack, client: Client) -> None:
    from globus_compute_sdk import Executor

    group = uuid.uuid4()  # or else executors of one process share one
    with Executor(endpoint_id=_daemon_id(stack), client=client, task_group_id=group) as executor:
        futures = [executor.submit(functions.add, n, n) for n in range(3)]
        assert [each.result(LIMIT_S) for each in futures] == [0, 2, 4]
    with Executor(endpoint_id=_daemon_id(stack), client=client, task_group_id=group) as later:
        reloaded = {each.task_id: each.result(LIMIT_S) for each in later.reload_tasks()}
    assert reloaded == {each.task_id: each.result() for each in futures}


def test_reload_tasks_that_are_not_finished(stack: Stack, client: Client, tmp_path: Path) -> None:
    """A batch without a queue gets one when somebody asks for it, and its results then come that way."""
    from globus_compute_sdk import Executor

    function = client.register_source_code(
        "def wait_for(path):\n    import os, time\n"
        "    while not os.path.exists(path):\n        time.sleep(0.05)\n    return path\n",
        "wait_for",
    )
    batch = client.create_batch()
    for _ in range(2):
        batch.add(function, (str(tmp_path / "go"),))
    group = client.batch_run(_daemon_id(stack), batch)["task_group_id"]
    with Executor(endpoint_id=_daemon_id(stack), client=client, task_group_id=group) as executor:
        futures = list(executor.reload_tasks())
        assert len(futures) == 2
        (tmp_path / "go").touch()
        assert {each.result(LIMIT_S) for each in futures} == {str(tmp_path / "go")}


def test_user_endpoint_options(stack: Stack, client: Client) -> None:
    """Options choose the user endpoint; the same options, in another order, the same one."""
    from globus_compute_sdk import Executor

    folders = set()
    for options in ({"workers": 1, "retries": 0}, {"retries": 0, "workers": 1}):
        with Executor(endpoint_id=_daemon_id(stack), client=client, user_endpoint_config=options) as executor:
            assert executor.submit(functions.add, 1, 1).result(LIMIT_S) == 2
        assert stack.daemon is not None
        folders.add(len(list(stack.daemon.user_dir.glob("uep.*"))))
    assert len(folders) == 1


def test_failed_start_fails_its_tasks(stack: Stack, client: Client) -> None:
    from globus_compute_sdk import Executor
    from globus_compute_sdk.errors import TaskExecutionFailed

    options = {"engine": "NoSuchEngine"}
    with Executor(endpoint_id=_daemon_id(stack), client=client, user_endpoint_config=options) as executor:
        future = executor.submit(functions.add, 1, 1)
        with pytest.raises(TaskExecutionFailed, match="'NoSuchEngine' is not a valid engine"):
            future.result(LIMIT_S)
    assert stack.service.metric("prov_service_start_failures_total") >= 1


def test_result_over_the_limit(stack: Stack, client: Client) -> None:
    from globus_compute_sdk import Executor
    from globus_compute_sdk.errors import TaskExecutionFailed

    with Executor(endpoint_id=_daemon_id(stack), client=client) as executor:
        large = executor.submit(functions.repeat, "x", 11 * 1024 * 1024)
        fitting = executor.submit(functions.repeat, "x", 6 * 1024 * 1024)
        with pytest.raises(TaskExecutionFailed, match="MaxResultSizeExceeded"):
            large.result(LIMIT_S)
        assert len(fitting.result(LIMIT_S)) == 6 * 1024 * 1024


def test_a_task_over_the_limit_stops_nobody(stack: Stack, client: Client) -> None:
    from globus_compute_sdk import Executor
    from globus_sdk import GlobusAPIError

    batch = client.create_batch()
    batch.add(client.register_function(functions.repeat), ("x" * 13_000_000, 0))
    with pytest.raises(GlobusAPIError, match=r"has \d{8} bytes; at most 10485760 are taken") as caught:
        client.batch_run(_daemon_id(stack), batch)
    assert caught.value.http_status == 413
    assert stack.service.health()["status"] == "ok"
    with Executor(endpoint_id=_daemon_id(stack), client=client) as executor:
        assert executor.submit(functions.repeat, "x", 3).result(LIMIT_S) == "xxx"


def test_token_of_another_time(stack: Stack, client: Client) -> None:
    """A cached token that is void makes the SDK fetch a new one."""
    import base64

    function = client.register_function(functions.add)
    token = client.app.get_authorizer("funcx_service").access_token
    identity = stack.service.environment()
    login = f"{identity['GLOBUS_COMPUTE_CLIENT_ID']}:{identity['GLOBUS_COMPUTE_CLIENT_SECRET']}"
    status, _, _ = stack.service.request(
        "POST",
        "/v2/oauth2/token/revoke",
        f"token={token}".encode(),
        {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()},
    )
    assert status == 200
    assert stack.service.request("GET", "/v2/endpoints", headers={"Authorization": f"Bearer {token}"})[0] == 401
    assert client.get_function(function)["function_name"] == "add"


def test_thousands_of_tasks_keep_their_values(stack: Stack, client: Client) -> None:
    from globus_compute_sdk import Executor

    count = 3000
    with Executor(endpoint_id=_daemon_id(stack), client=client, batch_size=1000) as executor:
        futures = [executor.submit(functions.add, number, 1) for number in range(count)]
        assert [future.result(360) for future in futures] == list(range(1, count + 1))
