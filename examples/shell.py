"""Run a command in place of a function."""

from __future__ import annotations

from globus_compute_sdk import Executor, ShellFunction
from which_endpoint import endpoint_id

if __name__ == "__main__":
    count = ShellFunction("uname -sr; seq {last} | wc -l", name="count_lines")
    with Executor(endpoint_id=endpoint_id()) as executor:
        future = executor.submit(count, last=1000)
        result = future.result()
        print(f"exit code {result.returncode}: {result.stdout.split()}   (task {future.task_id})")
