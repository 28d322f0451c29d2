"""Jobs that are taken back: here, or at the endpoint."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from prov_worker.jobs.engine_link import CANCEL_S
from prov_worker.jobs.job import Cancellation, Job

if TYPE_CHECKING:
    from prov_worker.jobs.session import Jobs

#: What one of our engines says of a task that is to be cancelled; anything else: it runs to its end.
_CANCELLATIONS = {
    "cancelled": Cancellation.STOPPED,
    "time_limit": Cancellation.ENDED,
    "ended": Cancellation.ENDED,
    "asked": Cancellation.ASKED,
}


def cancel_jobs(session: Jobs, jobs: Sequence[Job]) -> list[Cancellation]:
    """Cancel jobs; see :meth:`prov_worker.jobs.session.Jobs.cancel_all`."""
    outcomes = {job.id: session.drop(job) for job in jobs}
    there = [job for job in jobs if outcomes[job.id] is Cancellation.DROPPED]
    if there:
        with contextlib.suppress(TimeoutError):  # a request with them may be on its way
            session.wait_until(lambda: all(job.task_id or job.ended for job in there), CANCEL_S, "jobs")
        tasks = {job.task_id: job for job in there if job.task_id is not None}
        for task_id, (outcome, _) in session.engine.cancel(list(tasks)).items():
            outcomes[tasks[task_id].id] = _CANCELLATIONS.get(outcome, Cancellation.DROPPED)
    return [outcomes[job.id] for job in jobs]
