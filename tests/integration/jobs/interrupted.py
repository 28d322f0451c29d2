"""A program that submits jobs until it is killed: ``interrupted.py ENDPOINT STORE MARKS COUNT``."""

from __future__ import annotations

import sys
from pathlib import Path

from prov_worker import jobs


def mark(directory: str, number: int) -> int:
    """Leave a line for each run of this item."""
    import os

    descriptor = os.open(os.path.join(directory, str(number)), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(descriptor, b"x")
    os.close(descriptor)
    return number * number


def run(endpoint: str, store: str, marks: str, count: int) -> jobs.Batch:
    """Do the batch, or the rest of it."""
    with (
        jobs.open(endpoint, store=store, settle_s=2.0) as session,
        (Path(marks).parent / "called").open("a", buffering=1) as called,
    ):
        print("open", flush=True)
        items = [jobs.Call(marks, number) for number in range(count)]
        batch = session.batch(mark, items, name="marks", fail="never", on_done=lambda job: called.write(f"{job.id}\n"))
        batch.wait(120)
        return batch


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
