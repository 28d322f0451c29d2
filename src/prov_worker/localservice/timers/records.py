"""What the service remembers of timers. Times are seconds since the epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NEW, LOADED, INACTIVE, ENDED = "new", "loaded", "inactive", "ended"
TRANSFER, FLOW = "transfer", "flow"


@dataclass(frozen=True)
class Schedule:
    """When a timer runs: at ``start``, and each ``interval`` from then on.

    Attributes:
        start: of the first run.
        interval: seconds; None for one run.
        until: no run later than this; None for no such end.
        count: of runs at most; None for no such end.
    """

    start: float
    interval: float | None = None
    until: float | None = None
    count: int | None = None

    def tick(self, number: int) -> float:
        """Return the time of a run, which are counted from 0."""
        return self.start + number * (self.interval or 0.0)

    def next_after(self, number: int, now: float, runs: int) -> int | None:
        """Return the number of the run that follows one, whose time has not passed; None if none does.

        Args:
            number: of the one.
            now: the time.
            runs: that have been begun, or tried.
        """
        if self.interval is None or (self.count is not None and runs >= self.count):
            return None
        number = max(number + 1, int((now - self.start) // self.interval) + 1)
        return None if self.until is not None and self.tick(number) > self.until else number


@dataclass(frozen=True)
class Timer:
    """A timer.

    Attributes:
        id: of the timer.
        owner: client id.
        submitted: when it was.
        status: ``new``, ``loaded``, ``inactive`` or ``ended``.
        wake: when it is to be looked at; None for not by itself.
        name: for people.
        kind: ``transfer`` or ``flow``.
        schedule: when it runs.
        body: what it submits.
        flow: id of a flow, if it runs one.
        tick: number of the run that comes next; None if none does.
        runs: that were begun.
        errors: runs that could not be begun.
        began: when the last one was; None for none.
        results: of the last runs, oldest first: id, time, status and errors.
        reason: why it is inactive.
        retry_since: when a run was first tried that cannot be begun now; None if none is.
        turn: counts changes, so that two of them at once are noticed.
    """

    id: str
    owner: str
    submitted: float
    status: str
    wake: float | None
    name: str
    kind: str
    schedule: Schedule
    body: Mapping[str, Any]
    flow: str | None = None
    tick: int | None = 0
    runs: int = 0
    errors: int = 0
    began: float | None = None
    results: list[Mapping[str, Any]] = field(default_factory=list)
    reason: Mapping[str, Any] | None = None
    retry_since: float | None = None
    turn: int = 0
