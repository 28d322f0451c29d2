"""A user's script in a container of its own: submits tasks with the stock SDK, and says how each one ended.

    workload.py '{"count": 40, "seconds": 0.5, "function": "pause", "options": {}}'

Prints ``submitted [task ids]``, ``first`` when the first one has ended, and at the end ``ended {task id: ending}``. An
ending is ``["success", value]`` or ``["failed", text]``, or ``["lost", why]`` where neither the executor nor the web
service ever says how the task ended.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import FIRST_COMPLETED, wait
from typing import Any

from globus_compute_sdk import Client, Executor
from globus_compute_sdk.errors import TaskExecutionFailed

PATIENCE_S = 240.0


def pause(number: int, seconds: float) -> int:
    """Take time."""
    import time

    time.sleep(seconds)
    return number


def die(number: int, seconds: float) -> int:
    """Be killed half-way; the second attempt is not."""
    import os
    import signal
    import time
    from pathlib import Path

    time.sleep(seconds)
    mark = Path("/tmp", f"died-{os.environ['GC_TASK_UUID']}")
    if number % 2 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def look(number: int, seconds: float) -> list[str]:
    """Everything that a task can read of environments: its own, and those of all processes of the container."""
    import os
    from pathlib import Path

    texts = [f"{name}={value}" for name, value in os.environ.items()]
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            texts += path.read_text(errors="replace").split("\0")
        except OSError as error:
            texts.append(f"{path.parent.name}: {type(error).__name__}")
    return texts


def ending_at_service(client: Client, task_id: str, until: float) -> list[Any]:
    """What the web service says of a task whose future was no help."""
    answer = "nothing"
    while time.monotonic() < until:
        try:
            task = client.get_task(task_id)
        except TaskExecutionFailed as error:
            return ["failed", str(error)]
        except Exception as error:
            answer = f"{type(error).__name__}: {error}"
        else:
            if task.get("status") == "success":
                return ["success", task["result"]]
            answer = str(task.get("status"))
        time.sleep(1)
    return ["lost", answer]


def main(order: dict[str, Any]) -> None:
    """Submit, wait, tell."""
    client = Client()
    function = {"pause": pause, "die": die, "look": look}[order["function"]]
    until = time.monotonic() + PATIENCE_S
    executor = Executor(endpoint_id=order["endpoint"], client=client, user_endpoint_config=order.get("options"))
    futures = [executor.submit(function, number, order["seconds"]) for number in range(order["count"])]
    while not all(future.task_id for future in futures):
        time.sleep(0.05)
    print("submitted", json.dumps([future.task_id for future in futures]), flush=True)
    wait(futures, timeout=PATIENCE_S, return_when=FIRST_COMPLETED)
    print("first", flush=True)
    wait(futures, timeout=max(0.0, until - time.monotonic()))
    endings: dict[str, list[Any]] = {}
    for future in futures:
        error = future.exception() if future.done() and not future.cancelled() else TimeoutError()
        if error is None:
            endings[future.task_id] = ["success", future.result()]
        elif isinstance(error, TaskExecutionFailed):
            endings[future.task_id] = ["failed", str(error)]
        else:
            endings[future.task_id] = ending_at_service(client, future.task_id, max(until, time.monotonic() + 10))
    print("ended", json.dumps(endings), flush=True)
    executor.shutdown(wait=False, cancel_futures=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
