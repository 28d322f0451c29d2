"""Two tasks: one computes, the next one reads the first one's crate on the endpoint.

The crate of a task is complete once the task has ended, so no task can read its own while it runs; the next one can.
"""

from __future__ import annotations

from typing import Any

from globus_compute_sdk import Executor
from which_endpoint import endpoint_id


def work(seconds: float) -> str:
    """Compute for a while, and say where this task's crate will be."""
    import os
    import time

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(10_000))
    return os.environ["GC_TASK_UUID"]


def read_crate(task_id: str) -> dict[str, Any]:
    """What the crate of an earlier task says."""
    import os
    import time
    from pathlib import Path

    from prov_worker.crate.reader import StepCrate

    path = Path(os.environ["PROV_WORKER_CRATE_DIR"], f"{task_id}.crate")
    # Written beside the workers, moments after the result.
    end = time.monotonic() + 30
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.1)
    crate = StepCrate.open(path)
    cpu_s, _ = crate.usage["cpu"]
    return {"function": crate.function_name, "status": crate.status, "cpu_s": cpu_s, "wall_s": crate.wall_time_s}


if __name__ == "__main__":
    with Executor(endpoint_id=endpoint_id()) as executor:
        first = executor.submit(work, 2.0)
        task_id = first.result()
        second = executor.submit(read_crate, task_id)
        facts = second.result()
        print(f"{facts['function']} {facts['status']}: {facts['cpu_s']:.2f} s of CPU in {facts['wall_s']:.2f} s")
        print(f"(task {first.task_id}, read by task {second.task_id})")
