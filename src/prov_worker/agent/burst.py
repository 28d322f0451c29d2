"""When crates wait, so that a burst of quick tasks has the node's processors for itself."""

from __future__ import annotations

#: Tasks that begin in a second on one node: from here on it is a burst.
BURST_RATE = 200.0
#: How long crates wait for a burst to end. One that lasts longer is the normal course of things: crates are written
#: beside it, at low priority.
BURST_PATIENCE_S = 5.0
_LOOK_S = 0.1


class Burst:
    """Watches how many tasks begin, and says whether their crates should wait.

    A low priority alone does not help the workers if processors share a core or a cache: what the finaliser does on
    one slows the other. A burst is held for once; it is over when a look finds less than :data:`BURST_RATE`.
    """

    __slots__ = ("_began", "_count", "_looked", "_rate")

    def __init__(self) -> None:
        self._looked = self._rate = 0.0
        self._count = 0
        self._began: float | None = None

    def holds(self, begun: int, now: float) -> bool:
        """Return whether crates should wait.

        Args:
            begun: tasks that have begun so far, on the whole node; may fall when a worker leaves.
            now: ``time.monotonic()``, s.
        """
        passed = now - self._looked
        if passed >= _LOOK_S:
            self._rate = max(0, begun - self._count) / passed
            self._looked, self._count = now, begun
            if self._rate < BURST_RATE:
                self._began = None
            elif self._began is None:
                self._began = now
        return self._began is not None and not self.lasts(now)

    def lasts(self, now: float) -> bool:
        """Return whether there is a burst for which crates wait no longer."""
        return self._began is not None and now - self._began >= BURST_PATIENCE_S
