"""What a user runs on the login node: the stock SDK. Functions travel by their source.

python client.py status ENDPOINT
python client.py submit JSON        prints task ids, then outcomes
"""

from __future__ import annotations

import json
import sys
from typing import Any


def place(meeting, size):
    """Wait until as many tasks run as are awaited, each in a worker of its own; tell where this one runs."""
    import os
    import time
    import uuid

    meeting = os.path.expanduser(f"~/{meeting}")
    os.makedirs(meeting, exist_ok=True)
    open(os.path.join(meeting, uuid.uuid4().hex), "w").close()
    while len(os.listdir(meeting)) < size:  # one file for each task
        time.sleep(0.1)
    time.sleep(0.3)
    return {
        "host": os.uname().nodename,
        "cpus": sorted(os.sched_getaffinity(0)),
        "gpu": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "job": os.environ.get("SLURM_JOB_ID"),
        "tmp": os.environ.get("TMPDIR"),
    }


def hold(mark, seconds):
    """Leave a mark for each run, and stay; a second run leaves at once."""
    import os
    import time

    mark = os.path.join(os.path.expanduser("~"), mark)
    with open(mark, "a") as file:
        file.write(f"{os.environ.get('SLURM_JOB_ID')} {os.uname().nodename}\n")
    with open(mark) as file:
        runs = len(file.readlines())
    if runs == 1:
        time.sleep(seconds)
    return runs


def add(number, other):
    """A small task."""
    return number + other


def main() -> None:
    """See above."""
    from globus_compute_sdk import Client, Executor
    from globus_compute_sdk.serialize import AllCodeStrategies, ComputeSerializer

    client = Client()
    if sys.argv[1] == "status":
        print(client.get_endpoint_status(sys.argv[2])["status"])
        return
    request = json.loads(sys.argv[2])
    with Executor(
        request["endpoint"],
        client=client,
        user_endpoint_config=request["options"],
        serializer=ComputeSerializer(strategy_code=AllCodeStrategies()),
    ) as executor:
        futures = [executor.submit(globals()[name], *arguments) for name, arguments in request["calls"]]
        while not all(future.task_id for future in futures):
            pass
        print(json.dumps([str(future.task_id) for future in futures]), flush=True)
        outcomes: list[dict[str, Any]] = []
        for future in futures:
            try:
                outcomes.append({"result": future.result()})
            except Exception as error:
                outcomes.append({"error": f"{type(error).__name__}: {error}"})
        print(json.dumps(outcomes), flush=True)


if __name__ == "__main__":
    main()
