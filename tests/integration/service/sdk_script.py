"""What the SDK offers, in one script of a user's: `python sdk_script.py ENDPOINT_ID`; prints what came of it as JSON.

Run by interpreters that have the SDK alone, of whatever release.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Callable
from typing import Any

from globus_compute_sdk import Client, Executor, ShellFunction
from globus_compute_sdk.errors import TaskExecutionFailed

LIMIT_S = 180


def add(left: int, right: int) -> int:
    """A sum."""
    return left + right


def total(left: int, right: int) -> int:
    """A sum, registered by itself."""
    return left + right


def refuse(reason: str) -> None:
    """Raise."""
    raise ValueError(reason)


def repeat(word: str, times: int) -> str:
    """A text of a given length."""
    return word * times


def failure(call: Callable[[], Any]) -> str:
    """What a call fails with."""
    try:
        call()
    except TaskExecutionFailed as error:
        return str(error)
    return "nothing failed"


def poll(client: Client, task: str) -> dict[str, Any]:
    """The document of a finished task."""
    deadline = time.monotonic() + LIMIT_S
    while (document := client.get_task(task))["pending"]:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return dict(document)


def main(endpoint: str) -> dict[str, Any]:
    """Everything, once."""
    client = Client()
    results: dict[str, Any] = {}
    deadline = time.monotonic() + LIMIT_S
    while client.get_endpoint_status(endpoint)["status"] != "online":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    results["name"] = client.get_endpoint_metadata(endpoint)["name"]
    results["endpoints"] = [each["uuid"] for each in client.get_endpoints()]

    group = uuid.uuid4()
    with Executor(endpoint_id=endpoint, client=client, task_group_id=group) as executor:
        results["submit"] = executor.submit(add, 5, 10).result(LIMIT_S)
        function = executor.register_function(total)
        registered = [executor.submit_to_registered_function(function, args=(n, n)) for n in range(4)]
        results["registered"] = [each.result(LIMIT_S) for each in registered]
        shell = executor.submit(ShellFunction("echo {word}; exit 3"), word="hello").result(LIMIT_S)
        results["shell"] = [shell.returncode, shell.stdout.strip()]
        results["raised"] = failure(lambda: executor.submit(refuse, "not today").result(LIMIT_S))
        results["too_large"] = failure(lambda: executor.submit(repeat, "x", 11 * 1024 * 1024).result(LIMIT_S))
    with Executor(endpoint_id=endpoint, client=client, task_group_id=group) as later:
        # Of those that did not fail; the shell's result is not a number.
        reloaded = {each.task_id: each for each in later.reload_tasks()}
        results["reloaded"] = [reloaded[each.task_id].result(LIMIT_S) for each in registered]
    with Executor(endpoint_id=endpoint, client=client, user_endpoint_config={"workers": 1}) as executor:
        results["options"] = executor.submit(add, 1, 1).result(LIMIT_S)

    source = client.register_source_code("def shout(word):\n    return word.upper()\n", "shout")
    batch = client.create_batch()
    for n in range(3):
        batch.add(function, (n, 1))
    batch.add(source, ("hey",))
    tasks = {str(key): value for key, value in client.batch_run(endpoint, batch)["tasks"].items()}
    results["batch"] = [poll(client, each)["result"] for each in [*tasks[function], *tasks[source]]]
    alone = client.run(2, 3, endpoint_id=endpoint, function_id=function)
    results["status"] = poll(client, alone)["status"]
    results["get_result"] = client.get_result(alone)
    results["get_batch_result"] = [each["result"] for each in client.get_batch_result([alone]).values()]
    with Executor(endpoint_id=endpoint, client=client, batch_size=500) as executor:
        futures = [executor.submit(add, n, 1) for n in range(1000)]
        results["thousand"] = sum(each.result(LIMIT_S) for each in futures)
    return results


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
