"""Errors of jobs, each with one line for a person."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from prov_worker.errors import InputError, ProvWorkerError

if TYPE_CHECKING:
    from prov_worker.jobs.job import Job


class StoreError(InputError):
    """A store that cannot be used: no store, another endpoint's, of a later version, damaged, or somebody else's.

    Args:
        path: of the store.
        problem: what is wrong, without the path.
    """

    def __init__(self, path: str | os.PathLike[str], problem: str) -> None:
        super().__init__(f"{os.fspath(path)}: {problem}")


class JobError(ProvWorkerError):
    """A job without a value. Its text is the worker's traceback, or why there is none.

    Attributes:
        job: the job.
    """

    def __init__(self, job: Job, text: str) -> None:
        super().__init__(text)
        self.job = job


class JobFailedError(JobError):
    """The function raised, the command's exit status was not 0, or the web service refused the job."""


class JobLostError(JobError):
    """No worker answered."""


class JobTimedOutError(JobError):
    """The job was ended at its time limit."""


class JobCancelledError(JobError):
    """The job was cancelled."""


class JobUnknownError(JobError):
    """Nothing tells whether the job's task exists."""


class BatchFailedError(ProvWorkerError):
    """Items of a batch have no value.

    Attributes:
        failed: their jobs, in the order of the items.
    """

    def __init__(self, text: str, failed: Sequence[Job]) -> None:
        super().__init__(text)
        self.failed = list(failed)
