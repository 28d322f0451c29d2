"""A store while a program has it open: its ledger and its file move together, and whoever waits is notified."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from prov_worker.errors import InputError, ProvWorkerError
from prov_worker.jobs.job import Job
from prov_worker.jobs.ledger import Ledger
from prov_worker.jobs.store import Store


class OpenStore:
    """A store that this program writes.

    Args:
        ledger: what the store says, read already.
        store: the file.

    Attributes:
        ledger: as given.
        lock: guards all of it.
        changed: notified, under the lock, when jobs have ended or cannot end any more.
        listeners: called with each job that has ended.
        error: why nothing more can be sent or kept.
        closed: whether it was closed.
    """

    def __init__(self, ledger: Ledger, store: Store) -> None:
        self.ledger = ledger
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.listeners: list[Callable[[Job], None]] = []
        self.error: Exception | None = None
        self.closed = False
        self._file = store

    def append(self, *records: dict[str, Any]) -> None:
        """Write lines, and take what they mean; the lock is held."""
        for record, offset in zip(records, self._file.append(records), strict=True):
            self.ledger.apply(record, offset)

    def line(self, offset: int) -> dict[str, Any]:
        """Return a line of the file."""
        with self.lock:
            return self._file.line(offset)

    def sync(self) -> None:
        """Have all lines on disk; the lock need not be held, and others write meanwhile."""
        self._file.sync()

    def close_file(self) -> None:
        """Let the file go."""
        self._file.close()

    def tell(self, *jobs: Job) -> None:
        """Tell whoever listens or waits which jobs have ended; the lock is held."""
        for listener in self.listeners:
            for job in jobs:
                listener(job)
        self.changed.notify_all()

    def check(self) -> None:
        """Raise what keeps this store from being written, if anything does."""
        if self.error is not None:
            if isinstance(self.error, ProvWorkerError):
                raise self.error
            raise ProvWorkerError(f"jobs cannot go on: {type(self.error).__name__}: {self.error}") from self.error
        if self.closed:
            raise InputError(f"{self.ledger.path}: is closed")

    def fail(self, error: Exception) -> None:
        """Tell whoever waits why nothing more can be sent or kept."""
        with self.lock:
            self.error = error
            self.changed.notify_all()

    def wait_until(self, reached: Callable[[], bool], timeout: float | None, subject: str) -> None:
        """Wait for something that jobs' ends bring about.

        Raises:
            TimeoutError: it did not come.
            ProvWorkerError: it cannot come any more.
        """
        with self.changed:
            if not self.changed.wait_for(lambda: reached() or self.error or self.closed, timeout):
                raise TimeoutError(f"{subject}: not ended after {timeout:g} s")
            if not reached():
                self.check()
