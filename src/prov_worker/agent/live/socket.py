"""The agent's socket: who connects is sent what runs now, and no more.

It is in the runtime directory, which is this user's alone, and asks the kernel who is at the other end
(``SO_PEERCRED``, unix(7)). The directory is opened first and the socket named through it, so that its path never is too
long for an address (107 bytes), however deep ``TMPDIR`` is.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable

from prov_worker.agent.live.listener import Listener
from prov_worker.spool.live import SOCKET, peer_uid
from prov_worker.spool.own_files import is_private, leads_to

#: An answer this old is given again: many who look are no more work than a few.
_SHARED_S = 0.2
_WAITING = 16


class LiveSocket:
    """Answers in a thread of its own.

    Args:
        runtime: the runtime directory.
        answer: gives the answer.

    Raises:
        OSError: the socket cannot be made.
    """

    def __init__(self, runtime: str, answer: Callable[[], bytes]) -> None:
        self._answer = answer
        self._last, self._given_at = b"", -_SHARED_S
        if not is_private(runtime):
            raise PermissionError(f"{runtime}: is not a directory of this user's alone")
        self._directory = os.open(runtime, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        beside = f"{SOCKET}.{os.getpid()}"
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(beside, dir_fd=self._directory)
            self._listener.bind(f"/proc/self/fd/{self._directory}/{beside}")
            self._listener.listen(_WAITING)
            os.rename(beside, SOCKET, src_dir_fd=self._directory, dst_dir_fd=self._directory)
            status = os.stat(SOCKET, dir_fd=self._directory, follow_symlinks=False)
            self._path, self._identity = os.path.join(runtime, SOCKET), (status.st_dev, status.st_ino)
        except OSError:
            self._listener.close()
            os.close(self._directory)
            raise
        self._serving = Listener(self._listener, self._reply, "live")

    def _reply(self, connection: socket.socket) -> None:
        if peer_uid(connection) == os.geteuid():
            connection.sendall(self._current())

    def _current(self) -> bytes:
        now = time.monotonic()
        if now - self._given_at >= _SHARED_S:
            self._last, self._given_at = self._answer(), time.monotonic()
        return self._last

    def is_there(self) -> bool:
        """Return whether the path still leads to this socket: a log-out may have removed it."""
        return leads_to(self._path, self._identity)

    def close(self) -> None:
        """Take the socket away."""
        with contextlib.suppress(OSError):
            os.unlink(SOCKET, dir_fd=self._directory)
        self._serving.close()
        os.close(self._directory)
