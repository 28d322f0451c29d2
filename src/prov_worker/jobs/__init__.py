"""Jobs that survive the program that submitted them: a store in a file, retries, batches.

::

    from prov_worker import jobs

    with jobs.open(endpoint_id, store="jobs.jsonl", retries=2) as session:
        job = session.submit(train, 0.01)
        print(job.result())
"""

from __future__ import annotations

from prov_worker.jobs.batch import Batch, Call
from prov_worker.jobs.errors import (
    BatchFailedError,
    JobCancelledError,
    JobError,
    JobFailedError,
    JobLostError,
    JobTimedOutError,
    JobUnknownError,
    StoreError,
)
from prov_worker.jobs.job import Attempt, Cancellation, Job
from prov_worker.jobs.ledger import Ledger
from prov_worker.jobs.opening import open  # noqa: A004 - as other modules name it: prov_worker.jobs.open
from prov_worker.jobs.session import Jobs
from prov_worker.jobs.states import State

__all__ = [
    "Attempt",
    "Batch",
    "BatchFailedError",
    "Call",
    "Cancellation",
    "Job",
    "JobCancelledError",
    "JobError",
    "JobFailedError",
    "JobLostError",
    "JobTimedOutError",
    "JobUnknownError",
    "Jobs",
    "Ledger",
    "State",
    "StoreError",
    "open",
]
