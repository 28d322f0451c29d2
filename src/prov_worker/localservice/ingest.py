"""What comes in: results, heartbeats and the broker's confirmations, in batches of one transaction each."""

from __future__ import annotations

import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from prov_worker.localservice import messages, topology
from prov_worker.localservice.broker import Delivery
from prov_worker.localservice.metrics import Metrics
from prov_worker.localservice.records import Forward, Incoming, Result
from prov_worker.localservice.storage import Storage

_log = logging.getLogger(__name__)

_BATCH = 1000
_BATCH_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class _Confirmation:
    tasks: Sequence[int]
    results: Sequence[int]


@dataclass
class _Batch:
    """What one transaction takes in."""

    incoming: Incoming = field(default_factory=Incoming)
    failed_starts: dict[tuple[str, str], str] = field(default_factory=dict)
    last: Delivery | None = None


class Outlet(Protocol):
    """Where the news goes."""

    def forward(self, results: Sequence[Forward]) -> None:
        """Publish results."""

    def noted(self, tasks: Sequence[int], results: Sequence[int]) -> None:
        """Confirmations are stored."""


class Acknowledger(Protocol):
    """The broker, as far as it is needed here."""

    def acknowledge(self, session: int, tag: int) -> None:
        """Acknowledge deliveries up to one."""

    def purge_queue(self, name: str) -> object:
        """Drop what waits in a queue."""


class Ingest:
    """A thread that takes in what comes, in order; a delivery is acknowledged when its effect is durable."""

    def __init__(self, storage: Storage, metrics: Metrics, result_limit_bytes: int) -> None:
        self._storage = storage
        self._metrics = metrics
        self._limit = result_limit_bytes
        self._inbox: queue.SimpleQueue[Delivery | _Confirmation | None] = queue.SimpleQueue()
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

    def put(self, delivery: Delivery) -> None:
        """A message from the broker."""
        self._inbox.put(delivery)

    def confirm(self, tasks: Sequence[int], results: Sequence[int]) -> None:
        """The broker has confirmed the messages of tasks and of results."""
        self._inbox.put(_Confirmation(tasks, results))

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

    def _sort(self, item: Delivery | _Confirmation, batch: _Batch) -> int:
        if isinstance(item, _Confirmation):
            batch.incoming.queued += item.tasks
            batch.incoming.forwarded += item.results
            return 0
        batch.last = item
        try:
            sender = topology.sender(item.routing_key)
            if sender is None:
                raise messages.MessageError("unknown routing key")
            if item.queue == topology.RESULTS:
                batch.incoming.results.append(messages.read_result(item.body, *sender, self._limit))
            else:
                self._heartbeat(item, sender, batch)
        except messages.MessageError as error:
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
                incoming = replace(batch.incoming, results=[*batch.incoming.results, *failures])
                stored = self._storage.apply(incoming, time.time())
                break
            except sqlite3.Error as error:
                # A full disk, mostly. Nothing is acknowledged, so nothing is lost: the broker keeps what comes after.
                if not complained:
                    _log.error("cannot store results, trying again: %s", error)
                    complained = True
                if self._stopping.wait(1.0):
                    return
        self._metrics.finished(stored, len(incoming.results))
        if batch.last is not None:
            self._broker.acknowledge(batch.last.session, batch.last.tag)
        self._outlet.noted(incoming.queued, incoming.forwarded)
        self._outlet.forward(stored.forwards)

    def _start_failures(self, failed_starts: dict[tuple[str, str], str]) -> list[Result]:
        """A user endpoint that cannot start fails its tasks, with the reason that it gave."""
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
