"""Run all examples, one after the other; with --crates DIR, show a table of the crates that they left there."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
TASK = re.compile(r"task ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
#: A crate follows its result within a second; with a plot, a little later.
CRATES_TIMEOUT_S = 60.0


def run(name: str, *arguments: str) -> str:
    """Run one example; its output. Ends the program if the example fails."""
    print(f"\n$ python {name}.py {' '.join(arguments)}".rstrip(), flush=True)
    done = subprocess.run([sys.executable, str(HERE / f"{name}.py"), *arguments], stdout=subprocess.PIPE, text=True)
    print(done.stdout, end="", flush=True)
    if done.returncode:
        sys.exit(f"examples/{name}.py ended with {done.returncode}")
    return done.stdout


def show(crates: Path, tasks: list[str]) -> None:
    """Wait for the crates of these tasks, and print their table."""
    paths = [crates / f"{task}.crate" for task in tasks]
    end = time.monotonic() + CRATES_TIMEOUT_S
    while not all(path.exists() for path in paths) and time.monotonic() < end:
        time.sleep(0.1)
    print(flush=True)
    there = [str(path) for path in paths if path.exists()]
    if there:
        subprocess.run([sys.executable, "-m", "prov_worker", "list", *there], check=True)
    if len(there) < len(tasks):
        sys.exit(f"{len(tasks) - len(there)} of {len(tasks)} tasks left no crate in {crates}")


def main() -> None:
    """Run them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--crates", type=Path, help="where the endpoint's crates appear")
    options = parser.parse_args()

    from which_endpoint import endpoint_id

    os.environ["GLOBUS_COMPUTE_ENDPOINT_ID"] = endpoint_id()
    output = run("adder")
    function_id = run("affinity").split()[-1]
    output += run("affinity", function_id)
    for name in ("shell", "failing", "read_earlier_crate"):
        output += run(name)
    if options.crates:
        show(options.crates, TASK.findall(output))


if __name__ == "__main__":
    main()
