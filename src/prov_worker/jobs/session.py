"""Jobs of one endpoint in one store, while a program has it open."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from prov_worker.globus.call_packing import PackedFunction, pack_function
from prov_worker.humanize import plural
from prov_worker.jobs.batch import Batch, batch
from prov_worker.jobs.cancelling import cancel_jobs
from prov_worker.jobs.engine_link import EngineLink
from prov_worker.jobs.exchange import Exchange
from prov_worker.jobs.job import Cancellation, Job
from prov_worker.jobs.ledger import Ledger, now
from prov_worker.jobs.open_store import OpenStore
from prov_worker.jobs.states import State
from prov_worker.jobs.store import Store, payload_sha256
from prov_worker.jobs.submitter import Submitter

if TYPE_CHECKING:
    from prov_worker.jobs.exchange import Client


class OpenLedger(Ledger):
    """A ledger whose store this program writes."""

    session: Jobs

    def wait(self, reached: Callable[[], bool], timeout: float | None, subject: str) -> None:
        """Wait as the session does."""
        self.session.wait_until(reached, timeout, subject)

    def cancel(self, job: Job) -> Cancellation:
        """Cancel as the session does."""
        return self.session.cancel(job)

    def line(self, offset: int) -> dict[str, Any]:
        """Return a line of the store, which is open already."""
        return self.session.line(offset)


class Jobs:
    """Jobs of a store: submit, wait, cancel. A context manager; made by :func:`prov_worker.jobs.open`.

    Leaving its block waits for all jobs; leaving it by an error does not: what was sent goes on at the endpoint, and is
    there when the store is opened again.

    Args:
        ledger: what the store says, read already.
        store: of these jobs.
        client: of the web service, or of an engine here.
        defaults: of :meth:`options`.
        settle_s: as in :func:`prov_worker.jobs.open`.
        send: as there.
    """

    def __init__(
        self,
        ledger: OpenLedger,
        store: Store,
        client: Client,
        defaults: Mapping[str, Any],
        settle_s: float,
        *,
        send: bool = True,
    ) -> None:
        self.ledger = ledger
        self._state = OpenStore(ledger, store)
        self.lock = self._state.lock
        self._client = client
        self._defaults = dict(defaults)
        self._packed: dict[Callable[..., Any], PackedFunction] = {}
        ledger.session = self
        #: The engine of the endpoint, which is asked for what only ours can do.
        self.engine = EngineLink(self, client)
        self._exchange = Exchange(self._state, client, self.engine, settle_s, send=send)

    # -- for programs ----------------------------------------------------------------------------------------------

    def __enter__(self) -> Jobs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close(wait=kind is None)

    def __iter__(self) -> Iterator[Job]:
        """Yield all jobs of the store, in the order in which they were submitted."""
        with self.lock:
            return iter(list(self.ledger.jobs.values()))

    def __len__(self) -> int:
        return len(self.ledger.jobs)

    def __getitem__(self, number: int) -> Job:
        """Return a job by its id."""
        return self.ledger.jobs[number]

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Job:
        """Have ``function(*args, **kwargs)`` called at the endpoint. It is on record when this returns.

        Raises:
            InputError: function or arguments cannot be sent, or the web service refuses the function.
        """
        return self.options().submit(function, *args, **kwargs)

    def submit_registered(self, function_id: str, /, *args: Any, **kwargs: Any) -> Job:
        """Have a function called that was registered elsewhere.

        Raises:
            InputError: the arguments cannot be sent.
        """
        return self.options().submit_registered(function_id, *args, **kwargs)

    def options(self, **options: Any) -> Submitter:
        """Return what submits with options of its own: see :class:`~prov_worker.jobs.submitter.Submitter`.

        Raises:
            InputError: an option is unknown or not allowed.
        """
        return Submitter(self, **{**self._defaults, **options})

    def batch(self, function: Callable[..., Any], items: Iterable[Any], **options: Any) -> Batch:
        """Have a function called with each item; what an earlier program did of the same batch is not done again.

        An item of the same key, function and arguments is the same call: it keeps its value, goes on if it is under
        way, and is sent again if it ended without a value.

        Args:
            function: called with an item, or with the arguments of a :class:`~prov_worker.jobs.batch.Call`.
            items: in the order of the results.
            options: ``name`` of the batch, None: the function's; ``key``, a function from an item to the text that
                tells it from the others, None: its arguments do; ``on_done``, called with each job once it has ended,
                by whoever iterates or waits; ``fail``: ``first``, ``after`` (the default) or ``never``: when iteration
                and results raise for items without a value; ``allow_empty``; ``unknown``: as of :meth:`retry`;
                and those of :meth:`options`.

        Raises:
            InputError: there are no items, two have one key, or an option is not allowed.
        """
        return batch(self, function, items, **options)

    def note_called(self, job: Job) -> None:
        """Note that a batch's callback has seen a job's outcome."""
        with self.lock:
            self._state.check()
            self._state.append({"called": job.id})

    def as_completed(self, jobs: Iterable[Job] | None = None, timeout: float | None = None) -> Iterator[Job]:
        """Yield jobs as they end, those first that have ended already.

        Args:
            jobs: of this store; None: all that are in it now.
            timeout: seconds for all of them; None waits for ever.

        Raises:
            TimeoutError: some have not ended in time.
        """
        ended: queue.SimpleQueue[Job] = queue.SimpleQueue()
        deadline = None if timeout is None else time.monotonic() + timeout
        with self.lock:
            wanted = {job.id: job for job in (self if jobs is None else jobs)}
            over = [job for job in wanted.values() if job.ended]
            self._state.listeners.append(ended.put)
        try:
            for job in over:
                del wanted[job.id]
                yield job
            while wanted:
                left = None if deadline is None else deadline - time.monotonic()
                job = self._next_ended(ended, left, len(wanted))
                if wanted.pop(job.id, None) is not None:
                    yield job
        finally:
            with self.lock:
                self._state.listeners.remove(ended.put)

    def _next_ended(self, ended: queue.SimpleQueue[Job], left: float | None, count: int) -> Job:
        while True:
            self._state.check()
            step = 1.0 if left is None else min(1.0, left)
            if step < 0:
                raise TimeoutError(f"{plural(count, 'job has', 'jobs have')} not ended in time")
            try:
                return ended.get(timeout=step)
            except queue.Empty:
                if left is not None:
                    left -= step
                    if left <= 0:
                        raise TimeoutError(f"{plural(count, 'job has', 'jobs have')} not ended in time") from None

    def wait(self, timeout: float | None = None) -> None:
        """Wait until all jobs have ended, however.

        Raises:
            TimeoutError: some have not.
        """
        self._state.wait_until(lambda: all(job.ended for job in self.ledger.jobs.values()), timeout, "jobs")

    def retry(self, jobs: Iterable[Job], *, unknown: bool = False) -> list[Job]:
        """Send jobs again that have no value: failed, lost, timed out, cancelled; return them.

        Args:
            jobs: others among them are passed over.
            unknown: those too of which nobody knows whether their task exists, and those that were to run once and
                were lost or ended at their time limit: they may run twice.
        """
        again = []
        with self.lock:
            self._state.check()
            for job in jobs:
                wanted = job.ended and job.state is not State.COMPLETED and (unknown or not job.may_have_run)
                if wanted:
                    self._state.append({"retry": job.id, "at": now()})
                    self._exchange.put(job)
                    again.append(job)
        return again

    def cancel(self, job: Job) -> Cancellation:
        """Cancel a job; see :meth:`prov_worker.jobs.job.Job.cancel`."""
        return self.cancel_all([job])[0]

    def cancel_all(self, jobs: Iterable[Job]) -> list[Cancellation]:
        """Cancel jobs, those at the endpoint by one request; return what came of each, after 10 s at most.

        Raises:
            ProvWorkerError: the web service cannot be asked; what could be done here is done.
        """
        return cancel_jobs(self, list(jobs))

    def look(self) -> list[Job]:
        """Ask the endpoint's engine which jobs run, and return these: they are ``running`` then, and not ``queued``.

        Empty if the engine is not one of ours, or has not answered within 10 s. It knows by what the agents of its
        nodes write down every two seconds while tasks run. What is running is not kept in the store.

        Raises:
            ProvWorkerError: the web service cannot be asked.
        """
        with self.lock:
            self._state.check()
            tasks = list(self.ledger.tasks)
        running = self.engine.running(tasks) if tasks else None
        jobs = []
        with self.lock:
            for task_id, job in self.ledger.tasks.items():
                if running is not None and task_id in tasks:
                    job.state = State.RUNNING if task_id in running else State.QUEUED
                    if job.state is State.RUNNING:
                        jobs.append(job)
        return jobs

    def drop(self, job: Job) -> Cancellation:
        """Take a job back if it has not been sent, else drop its result and leave the endpoint alone."""
        with self.lock:
            self._state.check()
            if job.ended:
                return Cancellation.ENDED
            if job.waiting:
                self._state.append({"cancelled": job.id, "at": now()})
                self._state.tell(job)
                return Cancellation.CANCELLED
            if not job.cancel_wanted:
                self._state.append({"drop": job.id, "at": now()})
                self._state.changed.notify_all()
            return Cancellation.DROPPED

    def note_ours(self) -> None:
        """Note that the endpoint's engine has answered as ours do."""
        with self.lock:
            if not self.ledger.ours and not self._state.closed:
                self._state.append({"ours": True, "at": now()})

    def close(self, *, wait: bool = True) -> None:
        """Let the store go; a second call does nothing.

        Args:
            wait: first wait for all jobs.
        """
        try:
            if wait and not self._state.closed:
                self.wait()
        finally:
            with self.lock:
                closed, self._state.closed = self._state.closed, True
                self._state.changed.notify_all()
            if not closed:
                self._exchange.close()
                with self.lock:
                    self._state.close_file()

    def wait_until(self, reached: Callable[[], bool], timeout: float | None, subject: str) -> None:
        """Wait for something that jobs' ends bring about; see :meth:`OpenStore.wait_until`."""
        self._state.wait_until(reached, timeout, subject)

    # -- for submitters ------------------------------------------------------------------------------------------------

    def registered(self, function: Callable[..., Any]) -> tuple[PackedFunction, str]:
        """Return a function with its id; it is registered once per store, by its content.

        Raises:
            InputError: it cannot be sent, or the web service refuses it.
        """
        try:
            packed = self._packed.get(function)
        except TypeError:  # not hashable
            packed = pack_function(function)
        if packed is None:
            packed = self._packed[function] = pack_function(function)
        function_id = self.ledger.functions.get(packed.sha256)
        if function_id is None:
            function_id = self._client.register(packed)
            with self.lock:
                record = {"code": packed.sha256, "function": function_id, "name": packed.name}
                text = self._client.kept_text(function_id)
                self._state.append(record if text is None else {**record, "text": text})
        return packed, function_id

    def add(self, function_id: str, calls: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Job]:
        """Put calls on record and have them sent.

        Args:
            function_id: of Globus Compute.
            calls: packed arguments of each, and more of its job's line.
        """
        at = now()
        records: list[dict[str, Any]] = [
            {**fields, "function": function_id, "sha256": payload_sha256(payload), "at": at, "payload": payload}
            for payload, fields in calls
        ]
        with self.lock:
            if self._state.closed or self._state.error:
                self._state.check()
            first = len(self.ledger.jobs) + 1
            self._state.append(*({"job": number, **record} for number, record in enumerate(records, first)))
            jobs = [self.ledger.jobs[number] for number in range(first, first + len(records))]
            for job, (payload, _) in zip(jobs, calls, strict=True):
                self._exchange.put(job, payload)
        return jobs

    def line(self, offset: int) -> dict[str, Any]:
        """Return a line of the store."""
        return self._state.line(offset)


def ledger_for(path: Path, crates: Path | None) -> OpenLedger:
    """Return a ledger that a session will write."""
    return OpenLedger(path, crates)
