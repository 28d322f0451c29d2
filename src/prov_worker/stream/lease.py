"""One sender per sink of a directory, on whatever nodes they are.

On one node flock(2) tells, and lets go when its holder dies. On some shared file systems it means something on one node
alone, so a holder also writes a line with its place and a number that grows. Who comes from another place waits until
that has not changed for some time by its own clock: clocks of two nodes are never compared.
"""

from __future__ import annotations

import os
import time

from prov_worker.locks import lock
from prov_worker.spool.own_files import open_in_private
from prov_worker.spool.paths import place_of, places_here

_RENEW_S = 4.0
#: A holder of another place that has not renewed for so long is gone.
_GONE_S = 20.0
_LINE_BYTES = 200


class Lease:
    """A lease that is a file.

    Args:
        path: of the file; made if it is missing.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = -1
        self._token = f"{place_of(None)} {os.urandom(8).hex()}"
        self._here = places_here()
        self._number = 0
        self._renewed = 0.0
        self._seen = b""
        self._seen_at = 0.0

    def hold(self) -> bool:
        """Take the lease, or renew it; return whether it is held.

        Raises:
            OSError: the file cannot be made or written.
        """
        now = time.monotonic()
        if self._fd >= 0:
            if now - self._renewed > _RENEW_S:
                if not self._is_mine():
                    self._drop()
                    return False
                self._write(now)
            return True
        descriptor = open_in_private(self._path, os.O_RDWR | os.O_CREAT)
        try:
            taken = lock(descriptor)
        except OSError:
            taken = True  # a file system without locks: the line has to do
        if taken:
            line = os.pread(descriptor, _LINE_BYTES, 0)
            if line != self._seen:
                self._seen, self._seen_at = line, now
            place = line.split(b" ")[0].decode("ascii", "replace")
            if not line or place in self._here or now - self._seen_at > _GONE_S:
                self._fd = descriptor
                self._write(now)
                return True
        os.close(descriptor)
        return False

    def let_go(self) -> None:
        """Give the lease up."""
        if self._fd >= 0:
            try:
                if self._is_mine():
                    os.ftruncate(self._fd, 0)
            except OSError:
                pass  # then it is taken over after a while
            self._drop()

    def _is_mine(self) -> bool:
        return os.pread(self._fd, _LINE_BYTES, 0).startswith(self._token.encode())

    def _write(self, now: float) -> None:
        self._number += 1
        os.pwrite(self._fd, f"{self._token} {self._number:012d}\n".encode(), 0)
        self._renewed = now

    def _drop(self) -> None:
        os.close(self._fd)
        self._fd = -1
