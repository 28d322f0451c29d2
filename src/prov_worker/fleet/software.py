"""The software of a process that stays: replaced by an upgrade, it begins again from there."""

from __future__ import annotations

import os
import sys
import time

from prov_worker.fleet import launch

#: An environment in which packages are replaced is at rest after this.
_AT_REST_S = 30.0
_CHECK_S = 10.0


class Software:
    """The environment and the packages that this process was started from, and what is there now."""

    def __init__(self) -> None:
        self.version = launch.software()
        self._prefix = launch.environment()
        self._replaced = self.version
        self._checked = self._rested = time.monotonic()

    def is_replaced(self) -> bool:
        """Return whether another environment, or other packages, are where this process was started from."""
        if not os.access(sys.executable, os.X_OK):
            return False
        if launch.environment() != self._prefix:
            return True
        now = time.monotonic()
        if now - self._checked > _CHECK_S:
            software, self._checked = launch.software(), now
            if software != self._replaced:
                self._replaced, self._rested = software, now
        return self._replaced != self.version and now - self._rested > _AT_REST_S

    @staticmethod
    def begin_again() -> None:
        """Become the software that is there now; daemons are not concerned.

        Raises:
            OSError: it cannot be started; this process goes on.
        """
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - as it was started
