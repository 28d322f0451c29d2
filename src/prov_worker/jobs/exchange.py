"""What goes to the web service and comes from it: requests, each on record before it is sent, and answers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from prov_worker.errors import ProvWorkerError
from prov_worker.globus.answers import Answer
from prov_worker.jobs.engine_link import EngineLink
from prov_worker.jobs.job import Job
from prov_worker.jobs.ledger import Ledger, Sending, now
from prov_worker.jobs.matching import Matcher
from prov_worker.jobs.open_store import OpenStore
from prov_worker.jobs.outcomes import outcome, run_s
from prov_worker.jobs.sender import Sender
from prov_worker.jobs.states import State

if TYPE_CHECKING:
    from prov_worker.globus.task_client import TaskClient
    from prov_worker.jobs.site_tasks import SiteTasks

    Client: TypeAlias = TaskClient | SiteTasks

_log = logging.getLogger("prov_worker.jobs.session")

#: Answers that are written down together.
_AT_ONCE = 200


class Exchange:
    """Sends jobs of a store, and takes their answers.

    Args:
        state: the store.
        client: of the web service, or of an engine here.
        engine: the engine of the endpoint.
        settle_s: as in :func:`prov_worker.jobs.open`.
        send: as there.
    """

    def __init__(self, state: OpenStore, client: Client, engine: EngineLink, settle_s: float, *, send: bool) -> None:
        self._state = state
        self._client = client
        self.engine = engine
        self._payloads: dict[int, str] = {}
        self._early: dict[str, Answer] = {}
        self._matcher: Matcher | None = None
        self._results = client.results(self._open_tasks, self._deliver)
        self._sender = Sender(self, client, settle_s)
        if self.ledger.tasks and send:
            self._results.begin()
        with self.lock:
            for job in self.ledger.jobs.values():
                if job.waiting:
                    self._sender.put(job)
        if send:
            self._sender.start()
        if self.ledger.doubtful and send:
            self._match()

    @property
    def ledger(self) -> Ledger:
        """What the store says."""
        return self._state.ledger

    @property
    def lock(self) -> threading.RLock:
        """Guards the store."""
        return self._state.lock

    def put(self, job: Job, payload: str | None = None) -> None:
        """Have a job sent; the lock is held.

        Args:
            job: that waits.
            payload: its packed arguments, if they are at hand.
        """
        if payload is not None:
            self._payloads[job.id] = payload
        self._sender.put(job)

    def fail(self, error: Exception) -> None:
        """Tell whoever waits why nothing more can be sent or kept."""
        self._state.fail(error)

    def close(self) -> None:
        """Send and take nothing more."""
        self._sender.stop()
        if self._matcher is not None:
            self._matcher.stop()
        self._results.stop()

    # -- for the sender ------------------------------------------------------------------------------------------------

    def payload(self, job: Job) -> str:
        """Return a job's packed arguments, which are kept here until it is sent."""
        return self._payloads.pop(job.id, None) or self.ledger.payload(job)

    def begin_sending(self, jobs: Sequence[Job]) -> int | None:
        """Write down that these jobs are about to be sent; None if one of them was cancelled. The lock is held.

        They must not be sent before :meth:`sync`.
        """
        if not all(job.waiting for job in jobs):
            return None
        number = self.ledger.sendings + 1
        self._state.append({"sending": number, "jobs": [job.id for job in jobs], "at": now()})
        return number

    def sync(self) -> None:
        """Have on disk what was written down; without the lock, as a disk may take its time."""
        self._state.sync()

    def sent(self, number: int, tasks: Sequence[str]) -> None:
        """Note that the service took them."""
        with self.lock:
            self._state.append({"sent": number, "tasks": list(tasks)})
            early, self._early = self._early, {}
            self._state.changed.notify_all()
        self._results.begin()
        self._deliver([early[task] for task in tasks if task in early])

    def unsent(self, number: int, why: str) -> None:
        """Note that the service did not get them."""
        self._settle({"unsent": number, "why": why})

    def refused(self, number: int, why: str) -> None:
        """Note that the service takes none of them."""
        self._settle({"refused": number, "why": why, "at": now()})

    def settle(self, sending: Sending, tasks: set[str]) -> None:
        """Note that a request had no answer, and which tasks are there of it."""
        jobs = sending.jobs
        alike = len({(job.function_id, job.payload_sha256) for job in jobs}) == 1
        if not tasks:
            self._settle({"unsent": sending.number, "why": "it made no tasks"})
            with self.lock:
                for job in jobs:
                    if job.waiting:
                        self.put(job)
        elif alike and len(tasks) == len(jobs):
            self.sent(sending.number, sorted(tasks))
            with self.lock:
                open_tasks = [task for task in tasks if task in self.ledger.tasks]
            self._deliver(list(self._client.answers(open_tasks)))
        else:
            self._settle({"doubtful": sending.number, "tasks": sorted(tasks), "at": now()})
            self._match()

    def _match(self) -> None:
        """Have the crates looked at, now and from now on, for whose tasks those of unknown jobs are."""
        crates = self.ledger.crates
        with self.lock:
            if crates is None or self._matcher is not None or self._state.closed:
                return
            self._matcher = Matcher(self, crates)
        self._matcher.look()
        self._matcher.start()

    def matched(self, job: Job, task_id: str) -> None:
        """Note that a task is certainly this job's."""
        with self.lock:
            if self._state.closed or job.state is not State.UNKNOWN or task_id in self.ledger.tasks:
                return
            self._state.append({"matched": job.id, "task": task_id})
            self._state.changed.notify_all()
        self._results.begin()
        self._deliver(list(self._client.answers([task_id])))

    def _settle(self, record: dict[str, Any]) -> None:
        with self.lock:
            jobs = [] if self.ledger.sending is None else list(self.ledger.sending.jobs)
            self._state.append(record)
            self._early.clear()
            for job in jobs:
                if job.ended:
                    self._state.tell(job)

    # -- for the queue of results --------------------------------------------------------------------------------------

    def _open_tasks(self) -> list[str]:
        with self.lock:
            return list(self.ledger.tasks)

    def _deliver(self, answers: Sequence[Answer]) -> None:
        try:
            for start in range(0, len(answers), _AT_ONCE):
                self._take(answers[start : start + _AT_ONCE])
        except ProvWorkerError as error:  # the store cannot be written: the answers stay with the service
            self._state.fail(error)
            raise

    def _take(self, answers: Sequence[Answer]) -> None:
        jobs: dict[str, tuple[Job, Answer]] = {}
        with self.lock:
            for answer in answers:
                job = self.ledger.tasks.get(answer.task_id)
                if job is not None:
                    jobs[answer.task_id] = job, answer
                elif self.ledger.sending is not None:
                    self._early[answer.task_id] = answer
        records = [_record(job, answer) for job, answer in jobs.values()]
        with self.lock:
            # One that has been taken meanwhile is left out.
            records = [record for record in records if record["task"] in self.ledger.tasks]
            ended = [jobs[record["task"]][0] for record in records]
            for job, record in zip(ended, records, strict=True):
                again = State(record["state"]) in job.retry_on and len(job.attempts) < job.granted
                if again and not job.cancel_wanted:
                    record["again"] = True
            self._state.append(*records)
            for job, record in zip(ended, records, strict=True):
                if job.waiting:
                    _log.info("job %d (%s): %s, sent again: %s", job.id, job.name, record["state"], record.get("error"))
                    self.put(job)
            self._state.tell(*(job for job in ended if not job.waiting))


def _record(job: Job, answer: Answer) -> dict[str, Any]:
    """Return the line of the store that says how a job's task ended."""
    state, error = outcome(answer, shell=job.shell)
    record: dict[str, Any] = {"ended": job.id, "task": answer.task_id, "state": str(state), "at": now()}
    if answer.code is not None:
        record["code"] = answer.code
    duration_s = run_s(answer)
    if duration_s is not None:
        record["run_s"] = duration_s
    if error is not None:
        record["error"] = error
    if answer.succeeded:
        record["result"] = answer.text
    return record
