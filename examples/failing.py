"""A task that fails: the client gets the error, and the crate keeps it with its traceback."""

from __future__ import annotations

from globus_compute_sdk import Executor
from which_endpoint import endpoint_id


def invert(numbers: list[float]) -> list[float]:
    """Invert numbers; one of them cannot be."""
    return [1 / number for number in numbers]


if __name__ == "__main__":
    with Executor(endpoint_id=endpoint_id()) as executor:
        future = executor.submit(invert, [1, 2, 0])
        error = future.exception()
        last = str(error).strip().splitlines()[-1].strip(" -")
        print(f"{type(error).__name__}: {last or 'ZeroDivisionError'}   (task {future.task_id})")
