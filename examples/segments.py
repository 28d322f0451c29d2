"""Fit segments of an experiment, one task each: a segment that fails is named, and done again alone the next time.

In the place of the loop that experiments write around ``batch_run`` and ``get_batch_result``, which leaves failed tasks
out of what it returns: one of four segments that raises was reported as a success.

    python segments.py DIRECTORY [STORE]
"""

from __future__ import annotations

import sys
from pathlib import Path

from which_endpoint import endpoint_id

from prov_worker import jobs


def fit(path: str) -> dict[str, float]:
    """Return mean and number of the events of a segment, on the endpoint's machine."""
    from pathlib import Path

    events = [float(line) for line in Path(path).read_text().split()]
    return {"events": len(events), "mean": sum(events) / len(events)}


def register(job: jobs.Job) -> None:
    """Called once per segment, when it has ended: here a catalogue would be notified."""
    print(f"{Path(str(job.key)).name}: {job.state}   (task {job.task_id})")


if __name__ == "__main__":
    segments = sorted(str(path.resolve()) for path in Path(sys.argv[1]).glob("*.evt"))
    store = sys.argv[2] if len(sys.argv) > 2 else "segments.jsonl"
    with jobs.open(endpoint_id(), store=store, retries=2) as session:
        batch = session.batch(fit, segments, key=str, on_done=register)
        try:
            total = sum(result["events"] for result in batch.results())
        except jobs.BatchFailedError as error:
            sys.exit(str(error))
    print(f"{total} events in {len(batch)} segments")
