"""A limit on the lines of the log: whoever can reach the service must not fill the disk with what it says of it."""

from __future__ import annotations

import logging
import time

from prov_worker.humanize import plural

#: Lines a second in the long run, and at once after a quiet time.
LINES_PER_S, LINES_AT_ONCE = 50.0, 500.0


class LineRate(logging.Filter):
    """Lets so many lines pass, and says with the next one how many it has left out; a traceback counts as ten."""

    def __init__(self, per_s: float = LINES_PER_S, at_once: float = LINES_AT_ONCE) -> None:
        super().__init__()
        self._per_s, self._most = per_s, at_once
        self._left, self._then = at_once, time.monotonic()
        self._omitted = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a line is written. Runs under the lock of its handler."""
        now = time.monotonic()
        self._left = min(self._most, self._left + (now - self._then) * self._per_s)
        self._then = now
        cost = 10 if record.exc_info else 1
        if self._left < cost:
            self._omitted += 1
            return False
        self._left -= cost
        if self._omitted:
            omitted = plural(self._omitted, "line was", "lines were")
            record.msg = f"[{omitted} left out: more than {self._per_s:.0f} a second] {record.getMessage()}"
            record.args = None
            self._omitted = 0
        return True
