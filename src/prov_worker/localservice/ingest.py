"""Incoming messages: results, heartbeats and confirmations, stored in batches."""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from prov_worker.localservice import messages, topology
from prov_worker.localservice.broker import Delivery
from prov_worker.localservice.metrics import Metrics
from prov_worker.localservice.records import Forward, Incoming, Result, Stored
from prov_worker.localservice.storage import Storage

_log = logging.getLogger(__name__)
#: Errors of SQLite that a value alone is the reason of.
_OF_VALUES = (sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError, sqlite3.IntegrityError)

_BATCH = 1000
_BATCH_BYTES = 16 * 1024 * 1024
#: Bytes of what has come and is not stored; more waits at the broker.
_ROOM_BYTES = 64 * 1024 * 1024
#: For so long at most: the broker's thread must answer heartbeats even if nothing can be stored.
_PATIENCE_S = 1.0


@dataclass(frozen=True)
class _Confirmation:
    tasks: Sequence[int]
    results: Sequence[int]


@dataclass(frozen=True)
class _Refused:
    """A task that is not sent any more, or a result that the broker does not take."""

    seq: int
    code: str
    reason: str
    is_task: bool


@dataclass
class _Batch:
    """What one transaction takes in."""

    incoming: Incoming = field(default_factory=Incoming)
    failed_starts: dict[tuple[str, str], str] = field(default_factory=dict)
    refused: list[_Refused] = field(default_factory=list)
    last: Delivery | None = None


class Outlet(Protocol):
    """Where the news goes."""

    def forward(self, results: Sequence[Forward]) -> None:
        """Publish results."""

    def noted(self, tasks: Sequence[int], results: Sequence[int]) -> None:
        """Note that confirmations are stored."""


class Acknowledger(Protocol):
    """The broker, as far as it is needed here."""

    def acknowledge(self, session: int, tag: int) -> None:
        """Acknowledge deliveries up to one."""

    def purge_queue(self, name: str) -> object:
        """Drop what waits in a queue."""


class Ingest:
    """A thread that takes in what comes, in order; a delivery is acknowledged when its effect is durable."""

    def __init__(self, storage: Storage, metrics: Metrics, result_limit_bytes: int, kept_limit_bytes: int) -> None:
        self._storage = storage
        self._metrics = metrics
        self._limit = result_limit_bytes
        self._kept_limit = kept_limit_bytes
        self._inbox: queue.SimpleQueue[Delivery | _Confirmation | _Refused | None] = queue.SimpleQueue()
        #: Bytes of deliveries in it.
        self._inbox_bytes = 0
        self._room = threading.Condition()
        #: Results that the broker refused, and that say so since; one that it refuses too is not sent.
        self._replaced: set[int] = set()
        self._thread = threading.Thread(target=self._run, name="ingest", daemon=True)
        self._stopping = threading.Event()
        self._outlet: Outlet | None = None
        self._broker: Acknowledger | None = None

    def start(self, outlet: Outlet, broker: Acknowledger) -> None:
        """Begin; what was put in before waits."""
        self._outlet, self._broker = outlet, broker
        self._thread.start()

    def stop(self) -> None:
        """Take in what is there, then end."""
        self._stopping.set()
        self._inbox.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    @property
    def alive(self) -> bool:
        """Whether what comes is taken in."""
        return self._thread.is_alive()

    def put(self, delivery: Delivery) -> None:
        """Take a message from the broker; wait a little while too much is there that is not stored yet."""
        with self._room:
            self._room.wait_for(lambda: self._inbox_bytes < _ROOM_BYTES, _PATIENCE_S)
            self._inbox_bytes += len(delivery.body)
        self._inbox.put(delivery)

    def confirm(self, tasks: Sequence[int], results: Sequence[int]) -> None:
        """Note that the broker has confirmed the messages of tasks and of results."""
        self._inbox.put(_Confirmation(tasks, results))

    def task_failed(self, seq: int, code: str, reason: str) -> None:
        """Fail a task that is not sent any more, with the reason."""
        self._inbox.put(_Refused(seq, code, reason, True))

    def result_refused(self, seq: int, reason: str) -> None:
        """Fail a task whose result the broker does not take, with the reason."""
        reason = f"the message broker refused the result: {reason}"
        self._inbox.put(_Refused(seq, "RESULT_REFUSED", reason, False))

    def _run(self) -> None:
        while True:
            item = self._inbox.get()
            if item is None:
                return
            batch, more, size = _Batch(), 0, 0
            while item is not None:
                size += self._sort(item, batch)
                more += 1
                if more >= _BATCH or size >= _BATCH_BYTES:
                    break
                try:
                    item = self._inbox.get_nowait()
                except queue.Empty:
                    break
            self._store(batch)
            if item is None:
                return

    def _sort(self, item: Delivery | _Confirmation | _Refused, batch: _Batch) -> int:
        if isinstance(item, _Confirmation):
            batch.incoming.queued += item.tasks
            batch.incoming.forwarded += item.results
            return 0
        if isinstance(item, _Refused):
            batch.refused.append(item)
            return 0
        batch.last = item
        with self._room:
            self._inbox_bytes -= len(item.body)
            self._room.notify_all()
        try:
            sender = topology.sender(item.routing_key)
            if sender is None:
                raise messages.MessageError("unknown routing key")
            if item.queue == topology.RESULTS:
                batch.incoming.results.append(messages.read_result(item.body, *sender, self._limit))
            else:
                self._heartbeat(item, sender, batch)
        except Exception as error:
            # Nothing that somebody sends may end this thread.
            self._metrics.add("prov_service_messages_malformed_total")
            _log.warning("dropped a message of queue %s: %s", item.queue, error)
        return len(item.body)

    def _heartbeat(self, item: Delivery, sender: tuple[str, str], batch: _Batch) -> None:
        endpoint, pulse = messages.read_heartbeat(item.body, time.time())
        if endpoint != sender[1]:
            raise messages.MessageError("heartbeat of another endpoint than its routing key says")
        self._metrics.add("prov_service_heartbeats_total")
        batch.incoming.pulses[sender] = pulse
        if "error" in pulse.report:
            batch.failed_starts[sender] = str(pulse.report["error"])

    def _store(self, batch: _Batch) -> None:
        assert self._outlet is not None
        assert self._broker is not None
        complained = False
        while True:
            try:
                failures = self._start_failures(batch.failed_starts)
                results = [*self._within_quota(batch.incoming.results), *failures]
                incoming = replace(batch.incoming, results=results)
                self._take_refused(batch.refused, incoming)
                stored = self._apply(incoming)
                break
            except sqlite3.Error as error:
                # A full disk, mostly. Nothing is acknowledged, so nothing is lost: the broker keeps what comes after.
                if not complained:
                    _log.error("cannot store results, trying again: %s", error)
                    complained = True
                if self._stopping.wait(1.0):
                    return
        self._replaced.difference_update(incoming.forwarded)
        self._replaced.update(incoming.replaced)
        self._metrics.finished(stored, len(incoming.results))
        if batch.last is not None:
            self._broker.acknowledge(batch.last.session, batch.last.tag)
        self._outlet.noted(incoming.queued, [*incoming.forwarded, *incoming.replaced])
        self._outlet.forward(stored.forwards)

    def _within_quota(self, results: Sequence[Result]) -> Iterator[Result]:
        """Yield results; those that would go beyond what their identity may keep as failures that say so."""
        kept: dict[str, int] = {}
        for result in results:
            if result.owner not in kept:
                kept[result.owner] = self._storage.usage(result.owner).bytes
            size = kept[result.owner] + len(result.message)
            if size > self._kept_limit and not result.failed:
                reason = (
                    f"{size} bytes of functions, tasks and results; one identity may have {self._kept_limit} at once"
                )
                message = messages.failure(result.task, "QUOTA_EXCEEDED", reason)
                yield replace(result, failed=True, message=message)
            else:
                kept[result.owner] = size
                yield result

    def _apply(self, incoming: Incoming) -> Stored:
        """Store all of it; if that cannot be because of some of it, all but that.

        Raises:
            sqlite3.Error: nothing can be stored now.
        """
        try:
            return self._storage.apply(incoming, time.time())
        except Exception as error:
            _raise_unless_of_values(error)
            _log.warning("storing one by one: %s: %s", type(error).__name__, error)
        forwards: list[Forward] = []
        succeeded = failed = 0
        for part in incoming.parts():
            try:
                stored = self._storage.apply(part, time.time())
            except Exception as error:
                _raise_unless_of_values(error)
                self._metrics.add("prov_service_messages_malformed_total")
                _log.warning("dropped what cannot be stored: %s: %s", type(error).__name__, error)
            else:
                forwards += stored.forwards
                succeeded += stored.succeeded
                failed += stored.failed
        return Stored(forwards, succeeded, failed)

    def _take_refused(self, refused: Sequence[_Refused], incoming: Incoming) -> None:
        """Make what the broker refused a failure of its task."""
        tasks = self._storage.numbered([each.seq for each in refused])
        for each in refused:
            task = tasks.get(each.seq)
            if task is None:
                continue
            _log.warning("task %s: %s", task.id, each.reason)
            message = messages.failure(task.id, each.code, each.reason)
            if each.is_task:
                incoming.results.append(Result(task.id, task.owner, task.user_endpoint, True, message))
                incoming.queued.append(each.seq)
            elif each.seq in self._replaced:
                incoming.forwarded.append(each.seq)
            else:
                incoming.replaced[each.seq] = message

    def _start_failures(self, failed_starts: dict[tuple[str, str], str]) -> list[Result]:
        """Return a user endpoint that cannot start fails its tasks, with the reason that it gave."""
        failures: list[Result] = []
        for (owner, endpoint), reason in failed_starts.items():
            user_endpoint = self._storage.user_endpoint(endpoint)
            if user_endpoint is None or user_endpoint.owner != owner:
                continue
            self._metrics.add("prov_service_start_failures_total")
            _log.warning("user endpoint %s could not start: %s", endpoint, reason)
            open_tasks = self._storage.unfinished(endpoint, time.time())
            failures += [
                Result(task, owner, endpoint, True, messages.failure(task, "ENDPOINT_START_FAILED", reason))
                for task in open_tasks
            ]
            if open_tasks and self._broker is not None:
                # Or else the next start would run them, with nobody waiting.
                self._broker.purge_queue(topology.tasks_queue(user_endpoint.owner, endpoint))
        return failures


def _raise_unless_of_values(error: Exception) -> None:
    """Raise what says that the database cannot be used now; what says that a value cannot be stored is left."""
    if isinstance(error, sqlite3.Error) and not isinstance(error, _OF_VALUES):
        raise error
