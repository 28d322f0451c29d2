"""The lock by which an agent has a runtime directory, and what becomes of it if the directory is removed.

A log-out takes all files of a user from ``/dev/shm`` (``RemoveIPC``, logind.conf(5)), and so does the end of some batch
jobs, whoever has them open. Workers and agent live on, with slots and rings that no path leads to. Then the agent makes
the directory again, unless a worker was quicker and has another agent by now: to that one it leaves all that is new.
"""

from __future__ import annotations

import os
import time

from prov_worker import locks
from prov_worker.spool import launch
from prov_worker.spool.own_files import make_private

_LOOK_S = 1.0


class RuntimeLock:
    """Holds the lock of a runtime directory.

    Args:
        runtime: the directory.
        descriptor: of its lock, which is held.

    Attributes:
        descriptor: of the lock that was taken last.
        is_ours: whether the directory of this name is this agent's.
    """

    def __init__(self, runtime: str, descriptor: int) -> None:
        self._runtime = runtime
        self._due = time.monotonic() + _LOOK_S
        self.descriptor = descriptor
        self.is_ours = True

    def look(self) -> bool:
        """See, once a second, whether the directory still is there; gives whether it had to be made again."""
        now = time.monotonic()
        if now < self._due or not self.is_ours:
            return False
        self._due = now + _LOOK_S
        try:
            if os.path.samestat(os.fstat(self.descriptor), os.stat(os.path.join(self._runtime, launch.LOCK))):
                return False
        except FileNotFoundError:
            pass
        except OSError:
            return False  # it cannot be looked at now
        try:
            make_private(os.path.dirname(self._runtime))
            make_private(self._runtime)
            descriptor = launch.open_lock(self._runtime)
        except OSError:
            return False  # no space, or somebody else's: tried again
        if not locks.lock(descriptor):
            os.close(descriptor)
            self.is_ours = False
            return False
        os.close(self.descriptor)
        self.descriptor = descriptor
        return True
