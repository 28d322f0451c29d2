"""The program of a worker without an engine: runs a list of calls through a helper, in one process.

``python worker.py PLAN`` reads a pickled plan, and leaves for each call a file with the packed result, written under
another name and renamed, so that a test sees what was returned before the process died. It reopens everything by path
each time: user code may have closed whatever it found.
"""

from __future__ import annotations

import json
import os
import pickle
import resource
import sys
import threading
import time
import traceback
import uuid
from pathlib import Path
from typing import Any


def pack(
    function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], task_id: uuid.UUID, strategy: Any = None
) -> bytes:
    """A packed ``Task`` message, as the web service would send it."""
    from globus_compute_common import messagepack
    from globus_compute_common.messagepack.message_types import Task
    from globus_compute_sdk.serialize import ComputeSerializer

    serializer = ComputeSerializer(strategy_code=strategy) if strategy else ComputeSerializer()
    buffer = serializer.pack_buffers([serializer.serialize(item) for item in (function, args, kwargs)])
    return messagepack.pack(Task(task_id=task_id, task_buffer=buffer))


def await_agent(crates: str) -> None:
    """Wait for an agent of a crate directory; without limit, as the test has one."""
    from prov_worker.processes import process_state
    from prov_worker.spool.paths import runtime_dir

    about = Path(runtime_dir(crates)) / "agent.json"
    while not about.exists() or process_state(json.loads(about.read_text())["pid"]) in ("", "Z", "X"):
        time.sleep(0.02)


def main(path: str) -> None:
    plan: dict[str, Any] = pickle.loads(Path(path).read_bytes())
    from prov_worker.globus.worker import execute_task
    from support import annotating_calls, calls

    functions = {**vars(calls), **vars(annotating_calls)}
    results = Path(plan["results"])
    kept: dict[int, bytes] = {}

    def run(numbers: list[int]) -> None:
        for number in numbers:
            call = plan["calls"][number]
            body = call.get("body")
            if body is None:
                strategy = call.get("strategy")
                if strategy is not None:
                    from globus_compute_sdk import serialize

                    strategy = getattr(serialize, strategy)()
                body = pack(
                    functions[call["function"]], call["args"], call["kwargs"], uuid.UUID(call["task"]), strategy
                )
            task: Any = call["task"] if call.get("text_id") else uuid.UUID(call["task"])
            target = results / str(number)
            try:
                data = execute_task(
                    body,
                    task,
                    uuid.UUID(plan["endpoint"]),
                    run_dir=plan["run_dir"],
                    provenance={**plan["provenance"], "attempt": call["attempt"], "function_id": None},
                    **plan["options"],
                )
            except BaseException as error:
                (results / f"{number}.escaped").write_text("".join(traceback.format_exception(error)))
                if not plan["catch"]:
                    raise
                continue
            if plan["await_agent"] and number == 0:
                await_agent(plan["await_agent"])
            if plan["at_end"]:
                kept[number] = data
                continue
            temporary = results / f".{number}.{os.getpid()}"
            temporary.write_bytes(data)
            temporary.chmod(0o600)  # whatever the umask is by now
            os.rename(temporary, target)

    count = plan["threads"]
    numbers = list(range(len(plan["calls"])))
    if count:
        started = [threading.Thread(target=run, args=(numbers[n::count],)) for n in range(count)]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join()
    else:
        run(numbers)
    if kept:
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))  # a test may have forbidden files
    for number, data in kept.items():
        (results / str(number)).write_bytes(data)
    if plan["linger"]:
        while not os.path.exists(plan["linger"]):
            time.sleep(0.02)


if __name__ == "__main__":
    main(sys.argv[1])
