"""A scheduler with the method names of ``GlobusJobScheduler``, for programs that are moved from it.

That class (``jtchilders/inference_service_test``) keeps its jobs in memory; its cancellation, retries and time limit
do nothing. Here the same calls go to :class:`~prov_worker.jobs.session.Jobs`::

    scheduler = GlobusJobScheduler(endpoint_id, function=train)
    job_id = scheduler.submit_job({"lr": 0.01})
    scheduler.get_job_results(job_id)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from prov_worker.errors import InputError
from prov_worker.jobs.job import Job
from prov_worker.jobs.opening import open as open_jobs

_METHODS = {"native_client": "person", "client_credentials": "client", None: None}


class GlobusJobScheduler:
    """Jobs by their ids, as text. A context manager.

    Args:
        endpoint_id: UUID of the endpoint; None: ``site`` in ``options`` of :func:`prov_worker.jobs.open`.
        function: called with the mapping of each job.
        auth_method: ``native_client`` (a person), ``client_credentials`` or None (what the SDK finds).
        function_timeout: seconds that a job may take, for an endpoint with one of our engines; None: no limit.
        max_retries: how often a job is sent again that was lost or ran out of time.
        store: the file of the jobs.
        options: more of :func:`prov_worker.jobs.open`.

    Raises:
        InputError: an argument is not allowed.
    """

    def __init__(
        self,
        endpoint_id: str | None,
        *,
        function: Callable[[dict[str, Any]], Any],
        auth_method: str | None = None,
        function_timeout: float | None = None,
        max_retries: int = 2,
        store: str | os.PathLike[str] = "jobs.jsonl",
        **options: Any,
    ) -> None:
        if auth_method not in _METHODS:
            raise InputError(f"auth_method: {auth_method!r}: not one of native_client, client_credentials")
        self._function = function
        self.jobs = open_jobs(
            endpoint_id,
            store=store,
            auth=_METHODS[auth_method],
            retries=max_retries,
            time_limit=function_timeout,
            **options,
        )

    def __enter__(self) -> GlobusJobScheduler:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.jobs.close(wait=False)

    def submit_job(self, job: Mapping[str, Any]) -> str:
        """Have the function called with a copy of the mapping; return the job's id."""
        return str(self.jobs.submit(self._function, dict(job)).id)

    def is_job_complete(self, job_id: str) -> bool:
        """Return whether a job has ended, with or without a value."""
        return self._job(job_id).ended

    def get_job_status(self, job_id: str) -> str:
        """Return a job's state (:class:`prov_worker.jobs.states.State`)."""
        return str(self._job(job_id).state)

    def get_job_results(self, job_id: str, timeout: float | None = None) -> Any:
        """Wait for a job and return its value.

        Raises:
            JobError: it has none.
            TimeoutError: it has not ended in time.
        """
        return self._job(job_id).result(timeout)

    def cancel_job(self, job_id: str) -> bool:
        """Cancel a job; return whether it is cancelled for certain."""
        return bool(self._job(job_id).cancel())

    def _job(self, job_id: str) -> Job:
        """Return a job by its id.

        Raises:
            InputError: there is none.
        """
        job = self.jobs.ledger.jobs.get(int(job_id)) if job_id.isdecimal() else None
        if job is None:
            raise InputError(f"{self.jobs.ledger.path}: has no job {job_id}")
        return job
