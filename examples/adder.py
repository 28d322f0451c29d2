"""Send a function to an endpoint, and get its result."""

from __future__ import annotations

from globus_compute_sdk import Executor
from which_endpoint import endpoint_id


def add(a: int, b: int) -> int:
    """Add two numbers, somewhere else."""
    return a + b


if __name__ == "__main__":
    with Executor(endpoint_id=endpoint_id()) as executor:
        future = executor.submit(add, 5, 10)
        print(f"5 + 10 = {future.result()}   (task {future.task_id})")
