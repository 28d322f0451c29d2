"""What a store says: its lines, applied one after the other. Live and after a restart it is the same code.

Lines, after the head (``prov_worker_jobs``, ``group``, ``endpoint``, ``options``, ``at``); moments are seconds since
the epoch, and a job is named by its number:

=================================  =====================================================================================
``code``, ``function``, ``name``   a function was registered: digest of its text, id; ``text`` if no web service has it
``job``, …                         a call was asked for, with its packed arguments
``sending``, ``jobs``, ``at``      these jobs are about to be sent in one request; synced to disk before it is
``sent``, ``tasks``                that request was answered: ids of the tasks, in the order of the jobs
``unsent``, ``why``                that request made no tasks, and is repeated
``refused``, ``why``, ``at``       that request was refused
``doubtful``, ``tasks``, ``at``    nobody knows which of these tasks is which of that request's jobs
``matched``, ``task``              a job of a doubtful request is this task
``ended``, ``task``, ``state``, …  a task ended: ``result``, or ``error``; ``again``: its job waits to be sent once more
``cancelled``, ``at``              a job was taken back before it was sent
``drop``, ``at``                   a job was cancelled while it was with the endpoint
``retry``, ``at``                  somebody asked for another attempt at this job
``called``                         the batch's callback has seen this job's outcome
``ours``                           the endpoint's engine is one of ours
=================================  =====================================================================================
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prov_worker.humanize import plural
from prov_worker.jobs import store
from prov_worker.jobs.errors import StoreError
from prov_worker.jobs.job import Attempt, Cancellation, Job
from prov_worker.jobs.states import State


@dataclass(slots=True)
class Sending:
    """A request with jobs whose answer is not known.

    Attributes:
        number: from 1.
        jobs: in the order in which they were sent.
        at: seconds since the epoch.
    """

    number: int
    jobs: list[Job]
    at: float


class Ledger:
    """Jobs of a store.

    Args:
        path: of the store.
        crates: directory of the endpoint's crates, as it is seen from here; None if it is not.

    Attributes:
        head: the store's first line.
        jobs: by number, in the order in which they were asked for.
        functions: id by digest of the function.
        texts: serialised functions by id, of those that no web service has.
        tasks: job by task id, of attempts that have not ended.
        items: job by batch and key.
        sending: the request that has no answer; None.
        sendings: number of the last request.
        ours: the endpoint's engine is known to be one of ours.
        doubtful: tasks that may be those of jobs in state ``unknown``, by number of the request.
    """

    def __init__(self, path: Path, crates: Path | None = None) -> None:
        self.path = path
        self.crates = crates
        self.head: dict[str, Any] = {}
        self.jobs: dict[int, Job] = {}
        self.functions: dict[str, str] = {}
        self.texts: dict[str, str] = {}
        self.tasks: dict[str, Job] = {}
        self.all_tasks: set[str] = set()
        self.items: dict[tuple[str, str], Job] = {}
        self.sending: Sending | None = None
        self.sendings = 0
        self.ours = False
        self.doubtful: dict[int, tuple[list[Job], set[str]]] = {}

    @classmethod
    def read(cls, path: str | Path, crates: Path | None = None) -> Ledger:
        """Return what a store says now; a program may have it open.

        Raises:
            StoreError: it cannot be read.
        """
        ledger = cls(Path(path), crates)
        ledger.replay()
        return ledger

    def replay(self) -> None:
        """Apply all lines of the store.

        Raises:
            StoreError: it cannot be read, or its lines contradict each other.
        """
        for number, (offset, record) in enumerate(store.read(self.path), 1):
            try:
                if number == 1:
                    self.head = record
                else:
                    self.apply(record, offset)
            except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
                raise StoreError(self.path, f"line {number}: damaged: {type(error).__name__}: {error}") from error
        if not self.head:
            raise StoreError(self.path, "not a store of jobs")

    def apply(self, record: dict[str, Any], offset: int) -> None:
        """Take a line in."""
        for kind, apply in _KINDS.items():
            if kind in record:
                apply(self, record, offset)
                return
        # A later release may say more; what it says is not lost, as lines are only ever appended.

    def line(self, offset: int) -> dict[str, Any]:
        """Return a line of the store."""
        return store.read_line(self.path, offset)

    def payload(self, job: Job) -> str:
        """Return a job's packed arguments."""
        return str(self.line(job.offset)["payload"])

    def chosen(self, numbers: Iterable[int]) -> list[Job]:
        """Return jobs by number; all if none is given.

        Raises:
            StoreError: there is no such job.
        """
        wanted = list(dict.fromkeys(numbers)) or list(self.jobs)
        for number in wanted:
            if number not in self.jobs:
                raise StoreError(self.path, f"has no job {number}")
        return [self.jobs[number] for number in wanted]

    def counts(self) -> dict[str, int]:
        """Return how many jobs are in each state; states that no job is in are left out."""
        states = [job.state for job in self.jobs.values()]
        return {str(state): states.count(state) for state in State if state in states}

    def wait(self, reached: Callable[[], bool], timeout: float | None, subject: str) -> None:
        """Do nothing: only who opened the store to write waits."""
        raise StoreError(self.path, f"{subject} has not ended; it was read, and is not waited for")

    def cancel(self, job: Job) -> Cancellation:
        """Do nothing: nothing changes here."""
        raise StoreError(self.path, f"job {job.id}: was read, and cannot be changed")

    def _function(self, record: dict[str, Any], _offset: int) -> None:
        self.functions[record["code"]] = record["function"]
        if "text" in record:
            self.texts[record["function"]] = record["text"]

    def _job(self, record: dict[str, Any], offset: int) -> None:
        job = self.jobs[record["job"]] = Job(self, record, offset)
        if job.batch is not None and job.key is not None:
            self.items[job.batch, job.key] = job

    def _sending(self, record: dict[str, Any], _offset: int) -> None:
        jobs = [self.jobs[number] for number in record["jobs"]]
        for job in jobs:
            job.attempts.append(Attempt(len(job.attempts) + 1, record["at"]))
        self.sendings = record["sending"]
        self.sending = Sending(self.sendings, jobs, record["at"])

    def _settled(self, number: int) -> list[Job]:
        sending, self.sending = self.sending, None
        if sending is None or sending.number != number:
            raise ValueError(f"request {number} is not the open one")
        return sending.jobs

    def _sent(self, record: dict[str, Any], _offset: int) -> None:
        for job, task_id in zip(self._settled(record["sent"]), record["tasks"], strict=True):
            self._is_task(job, task_id)

    def _is_task(self, job: Job, task_id: str) -> None:
        job.attempts[-1].task_id = task_id
        job.attempts[-1].state = job.state = State.QUEUED
        job.attempts[-1].error = None
        self.tasks[task_id] = job
        self.all_tasks.add(task_id)

    def _unsent(self, record: dict[str, Any], _offset: int) -> None:
        for job in self._settled(record["unsent"]):
            job.attempts.pop()
            if job.cancel_wanted:
                job.state = State.CANCELLED

    def _refused(self, record: dict[str, Any], _offset: int) -> None:
        for job in self._settled(record["refused"]):
            self._end(job, State.FAILED, record["at"], record["why"])

    def _doubtful(self, record: dict[str, Any], _offset: int) -> None:
        jobs = self._settled(record["doubtful"])
        tasks = set(record["tasks"])
        came = f"{plural(len(tasks), 'task')} came of {plural(len(jobs), 'job')}"
        why = f"sent when the program or its connection ended; {came}"
        for job in jobs:
            self._end(job, State.UNKNOWN, record["at"], why)
        self.doubtful[record["doubtful"]] = (jobs, tasks)
        self.all_tasks |= tasks

    def _matched(self, record: dict[str, Any], _offset: int) -> None:
        job, task_id = self.jobs[record["matched"]], record["task"]
        for jobs, tasks in self.doubtful.values():
            if task_id in tasks:
                tasks.remove(task_id)
                jobs.remove(job)
        self._is_task(job, task_id)
        job.attempts[-1].ended_at = None

    def _ended(self, record: dict[str, Any], offset: int) -> None:
        job = self.tasks.pop(record["task"])
        attempt = job.attempts[-1]
        attempt.code, attempt.run_s = record.get("code"), record.get("run_s")
        self._end(job, State(record["state"]), record["at"], record.get("error"))
        job.end_offset = offset
        if record.get("again"):
            job.state = State.QUEUED

    def _end(self, job: Job, state: State, at: float, error: str | None) -> None:
        attempt = job.attempts[-1]
        attempt.state, attempt.ended_at, attempt.error = state, at, error
        job.state = State.CANCELLED if job.cancel_wanted and state is not State.UNKNOWN else state
        if job.state is State.CANCELLED and error is None:
            attempt.error = f"cancelled while it was with the endpoint; it ended as {state}, and its result was dropped"

    def _cancelled(self, record: dict[str, Any], _offset: int) -> None:
        job = self.jobs[record["cancelled"]]
        job.cancel_wanted, job.state = True, State.CANCELLED

    def _drop(self, record: dict[str, Any], _offset: int) -> None:
        self.jobs[record["drop"]].cancel_wanted = True

    def _retry(self, record: dict[str, Any], _offset: int) -> None:
        job = self.jobs[record["retry"]]
        for jobs, _ in self.doubtful.values():
            if job in jobs:
                jobs.remove(job)
        job.state, job.cancel_wanted, job.called = State.QUEUED, False, False
        job.granted = len(job.attempts) + 1 + job.retries
        job._value = None

    def _is_ours(self, _record: dict[str, Any], _offset: int) -> None:
        self.ours = True

    def _called(self, record: dict[str, Any], _offset: int) -> None:
        self.jobs[record["called"]].called = True


_KINDS: dict[str, Callable[[Ledger, dict[str, Any], int], None]] = {
    "job": Ledger._job,
    "ended": Ledger._ended,
    "sending": Ledger._sending,
    "sent": Ledger._sent,
    "called": Ledger._called,
    "code": Ledger._function,
    "unsent": Ledger._unsent,
    "refused": Ledger._refused,
    "doubtful": Ledger._doubtful,
    "matched": Ledger._matched,
    "cancelled": Ledger._cancelled,
    "drop": Ledger._drop,
    "retry": Ledger._retry,
    "ours": Ledger._is_ours,
}


def now() -> float:
    """Return the moment, in seconds since the epoch."""
    return round(time.time(), 3)
