"""Crates that a full disk or a read-only directory refuses: tried again, with growing pauses."""

from __future__ import annotations

from collections import deque

from prov_worker.agent.crate_job import CrateJob

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
#: So many refusals in a row mean that the disk takes nothing, not that one record is odd.
_MAX_REFUSED = 3


class RefusedCrates:
    """Keeps what could not be written until it is tried again. Moments are those of ``time.monotonic``.

    Attributes:
        jobs: crates that were refused when they were tried last.
        again_at: when all of them are tried again.
    """

    def __init__(self) -> None:
        self.jobs: deque[CrateJob] = deque()
        self.again_at = 0.0
        self._pause_s = _FIRST_PAUSE_S
        self._in_a_row = 0

    def add(self, job: CrateJob, now: float) -> None:
        """Take a crate that has just been refused."""
        if not self.jobs:
            self.again_at = now + self._pause_s
            self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
        self.jobs.append(job)
        self._in_a_row += 1

    def end(self) -> None:
        """Take note that a crate was written."""
        self._pause_s = _FIRST_PAUSE_S
        self._in_a_row = 0

    def all_are(self, now: float) -> bool:
        """Return whether no crate need be tried yet, as every one would be refused."""
        return self._in_a_row >= _MAX_REFUSED and now < self.again_at

    def due(self, now: float) -> list[CrateJob]:
        """Return the crates to try again now, which are kept no longer."""
        if not self.jobs or now < self.again_at:
            return []
        self._in_a_row = 0
        jobs = list(self.jobs)
        self.jobs.clear()
        return jobs
