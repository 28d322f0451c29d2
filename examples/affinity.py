"""Register a function once; what is kept is its id, by which it can be called ever after.

The function says where it runs: on which node, as which worker, on which CPUs and accelerators. Usage:

    python affinity.py                  register it, and print its id
    python affinity.py FUNCTION_ID      call it four times; with several workers, on several CPUs
"""

from __future__ import annotations

import sys
from typing import Any

from globus_compute_sdk import Client, Executor
from which_endpoint import endpoint_id


def affinity(number: int) -> dict[str, Any]:
    """Where this task runs: node, process, worker, CPUs and accelerators."""
    import os
    import socket
    import time

    # Long enough for the next call to meet another worker, and for the agent to take samples.
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        sum(range(1000))
    return {
        "number": number,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "worker": os.environ.get("PARSL_WORKER_RANK"),
        "cpus": sorted(os.sched_getaffinity(0)),
        "accelerators": os.environ.get("CUDA_VISIBLE_DEVICES") or os.environ.get("ZE_AFFINITY_MASK"),
    }


if __name__ == "__main__":
    if len(sys.argv) < 2:
        print(Client().register_function(affinity, description="where a task runs"))
        sys.exit()
    with Executor(endpoint_id=endpoint_id()) as executor:
        futures = [executor.submit_to_registered_function(sys.argv[1], (number,)) for number in range(4)]
        for future in futures:
            where = future.result()
            print(
                f"call {where['number']}: {where['host']}, worker {where['worker']}, process {where['pid']}, "
                f"CPUs {where['cpus']}   (task {future.task_id})"
            )
