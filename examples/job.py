"""The tutorial's first function, as a job that survives this program: kill it and run it again, and it goes on."""

from __future__ import annotations

import sys

from which_endpoint import endpoint_id

from prov_worker import jobs


def add(a: int, b: int) -> int:
    """Add two numbers, somewhere else."""
    return a + b


if __name__ == "__main__":
    store = sys.argv[1] if len(sys.argv) > 1 else "tutorial.jsonl"
    with jobs.open(endpoint_id(), store=store, retries=1) as session:
        job = session.batch(add, [jobs.Call(5, 10)]).jobs[0]
        print(f"5 + 10 = {job.result()}   (task {job.task_id})")
