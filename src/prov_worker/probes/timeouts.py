"""Work that may hang, under a time limit.

A system call on a dead network mount, or a call into a wedged driver, cannot be interrupted: it can only be left
behind. Each piece of work therefore gets a daemon thread of its own, and whoever waits stops waiting in time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from prov_worker.probes.errors import ProbeError

T = TypeVar("T")


class TimeLimitError(ProbeError):
    """The work gave no answer within its limit."""


class Pending(Generic[T]):
    """A piece of work that has been started in a daemon thread.

    Args:
        work: called once in the thread.
        name: of the thread, for stack dumps.

    Raises:
        ProbeError: the system gives no more threads.
    """

    def __init__(self, work: Callable[[], T], name: str) -> None:
        self._work = work
        self._done = threading.Event()
        self._value: T | None = None
        self._error: BaseException | None = None
        self._started = time.monotonic()
        self._ended: float | None = None
        try:
            threading.Thread(target=self._run, name=name, daemon=True).start()
        except RuntimeError as error:
            raise ProbeError(f"cannot start a thread: {error}") from error

    def _run(self) -> None:
        try:
            self._value = self._work()
        # SystemExit too: raised in a thread it would vanish, and the waiting side would call it a time-out.
        except BaseException as error:
            self._error = error
        self._ended = time.monotonic()
        self._done.set()

    @property
    def duration_s(self) -> float:
        """Seconds that the work took, or has taken so far."""
        return (time.monotonic() if self._ended is None else self._ended) - self._started

    def result(self, limit_s: float) -> T:
        """Wait until ``limit_s`` seconds after the start, and return or raise what the work did.

        Raises:
            TimeLimitError: there was no answer by then; the thread is left behind.
        """
        remaining = self._started + limit_s - time.monotonic()
        if not self._done.wait(max(0.0, remaining)):
            raise TimeLimitError(f"timed out after {limit_s:g} s")
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]  # set whenever there is no error
