"""The thread that sends jobs: several in one request, one request after the other, each written down before.

The web service takes few small requests (the SDK's ``Executor`` allows itself at most 8 in 16 s with fewer than 8
tasks, and then one in 2 s): what is submitted within a moment goes together.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict, deque
from typing import TYPE_CHECKING

from prov_worker.errors import ProvWorkerError
from prov_worker.globus.task_client import InDoubtError, NotSentError, RefusedError
from prov_worker.globus.task_options import KEY
from prov_worker.humanize import plural
from prov_worker.jobs.job import Job

if TYPE_CHECKING:
    from prov_worker.jobs.exchange import Client, Exchange

_log = logging.getLogger(__name__)

#: Jobs of one request, and bytes of their arguments.
MAX_JOBS = 128
_MAX_BYTES = 4 << 20
#: How long a request waits for more jobs.
_GATHER_S = 0.01
_SMALL, _SMALL_IN_A_ROW, _SMALL_WINDOW_S = 8, 8, 16.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0
_NOT_OURS = "time_limit, run, once: the endpoint's engine is not one of prov-worker's, and cannot do that"


class Sender(threading.Thread):
    """Sends what waits in a session.

    Args:
        exchange: whose jobs; its lock guards the queue.
        client: of the web service.
        settle_s: a request whose answer did not come, and of which no task is there so long after, made none.
    """

    def __init__(self, exchange: Exchange, client: Client, settle_s: float) -> None:
        super().__init__(name="prov-worker-jobs", daemon=True)
        self._exchange = exchange
        self._client = client
        self._settle_s = settle_s
        self._queue: deque[Job] = deque()
        self._wake = threading.Condition(exchange.lock)
        self._stopped = False
        self._small: deque[float] = deque()

    def put(self, job: Job) -> None:
        """Have a job sent; the session's lock is held."""
        self._queue.append(job)
        if len(self._queue) == 1 or len(self._queue) >= MAX_JOBS:
            self._wake.notify()

    def stop(self) -> None:
        """Send nothing more, and wait for the request under way."""
        with self._wake:
            self._stopped = True
            self._wake.notify()
        if self.is_alive() and threading.current_thread() is not self:
            self.join(60)

    def run(self) -> None:
        """Send until stopped; an error that is not the service's ends the session."""
        try:
            self._settle_doubt()
            while (jobs := self._next()) is not None:
                self._send(jobs)
        except Exception as error:
            _log.debug("sending ends", exc_info=True)
            self._exchange.fail(error)

    def _next(self) -> list[Job] | None:
        """Wait for jobs that can go in one request, which share a specification; None at the end."""
        with self._wake:
            while not self._queue and not self._stopped:
                self._wake.wait()
            if len(self._queue) < MAX_JOBS and not self._stopped:
                self._wake.wait(_GATHER_S)
        self._pace()
        with self._wake:
            jobs: list[Job] = []
            rest: deque[Job] = deque()
            while self._queue and len(jobs) < MAX_JOBS and not self._stopped:
                job = self._queue.popleft()
                if not job.waiting:
                    continue
                if jobs and job.specification != jobs[0].specification:
                    rest.append(job)
                else:
                    jobs.append(job)
            self._queue.extendleft(reversed(rest))
            return None if self._stopped else jobs

    def _pace(self) -> None:
        """Wait as long as the service asks of those that send little at a time."""
        while self._small and self._small[0] < time.monotonic() - _SMALL_WINDOW_S:
            self._small.popleft()
        if len(self._small) >= _SMALL_IN_A_ROW:
            self._pause(self._small[-1] + _SMALL_WINDOW_S / _SMALL_IN_A_ROW - time.monotonic())

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        with self._wake:
            while not self._stopped and (left := end - time.monotonic()) > 0:
                self._wake.wait(left)

    def _send(self, jobs: list[Job]) -> None:
        """Send jobs in one request, and again until the service has taken or refused them."""
        pause_s = _FIRST_PAUSE_S
        ours = self._is_ours() if jobs and KEY in (jobs[0].specification or {}) else True
        while jobs and not self._stopped:
            ordered, payloads = self._by_function(jobs)
            with self._wake:
                # What was cancelled meanwhile is left out, and what has no space in this request waits.
                number = self._exchange.begin_sending(ordered)
                left = {job.id for job in ordered} if number else set()
                self._queue.extendleft(job for job in reversed(jobs) if job.id not in left and job.waiting)
            if number is None:
                return
            self._exchange.sync()
            if not ours:
                self._exchange.refused(number, _NOT_OURS)
                return
            if len(ordered) < _SMALL:
                self._small.append(time.monotonic())
            try:
                ids = self._client.submit(payloads, ordered[0].specification)
                self._exchange.sent(number, [task for function_id in payloads for task in ids[function_id]])
                return
            except RefusedError as error:
                self._exchange.refused(number, str(error))
                return
            except NotSentError as error:
                _log.warning("%s to send: %s", plural(len(ordered), "job"), error)
                self._exchange.unsent(number, str(error))
            except InDoubtError as error:
                _log.warning("%s: %s; asking for their tasks", plural(len(ordered), "job"), error)
                self._settle_doubt()
            jobs = [job for job in ordered if job.waiting]
            if jobs:
                self._pause(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        with self._wake:  # stopped meanwhile
            self._queue.extendleft(reversed(jobs))

    def _is_ours(self) -> bool:
        """Ask whether the endpoint's engine is one of ours, until it says so."""
        pause_s = _FIRST_PAUSE_S
        while not self._stopped:
            try:
                return self._exchange.engine.is_ours(lambda: not self._stopped)
            except RefusedError:
                return True  # as it will refuse the jobs themselves, with the reason
            except (ProvWorkerError, TimeoutError) as error:
                _log.warning("jobs wait for the endpoint's answer: %s", error)
            self._pause(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        return True

    def _by_function(self, jobs: list[Job]) -> tuple[list[Job], dict[str, list[str]]]:
        """Return jobs in the order of a request, and their arguments by function, as many as have space."""
        by_function: dict[str, list[tuple[Job, str]]] = defaultdict(list)
        size = 0
        for job in jobs:
            payload = self._exchange.payload(job)
            size += len(payload)
            if size > _MAX_BYTES and by_function:
                break
            by_function[job.function_id].append((job, payload))
        ordered = [job for pairs in by_function.values() for job, _ in pairs]
        return ordered, {name: [payload for _, payload in pairs] for name, pairs in by_function.items()}

    def _settle_doubt(self) -> None:
        """Find out what came of the request whose answer is missing, before anything else is sent."""
        pause_s = _FIRST_PAUSE_S
        while (sending := self._exchange.ledger.sending) is not None and not self._stopped:
            try:
                tasks = self._client.group_tasks() - self._exchange.ledger.all_tasks
            except ProvWorkerError as error:
                _log.warning("%s may have been sent: %s", plural(len(sending.jobs), "job"), error)
            else:
                if len(tasks) >= len(sending.jobs) or time.time() - sending.at >= self._settle_s:
                    self._exchange.settle(sending, tasks)
                    return
            self._pause(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
