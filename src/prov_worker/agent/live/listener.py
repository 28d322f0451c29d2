"""What answers connections: one after the other, each within a second, in a thread of its own."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

#: Who does not take the answer within this keeps the others waiting no longer.
PATIENCE_S = 1.0


class Listener:
    """Answers whoever connects.

    Args:
        listener: listens already.
        answer: takes a connection, which is closed after it; may raise.
        name: of the thread.
    """

    def __init__(self, listener: socket.socket, answer: Callable[[socket.socket], None], name: str) -> None:
        self._listener, self._answer = listener, answer
        threading.Thread(target=self._serve, name=name, daemon=True).start()

    def _serve(self) -> None:
        while self._listener.fileno() >= 0:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                time.sleep(PATIENCE_S)  # no descriptor is free, or it is closed
                continue
            with connection:
                try:
                    connection.settimeout(PATIENCE_S)
                    self._answer(connection)
                except OSError:
                    pass  # gone, or too slow
                except Exception:
                    log.exception("what runs now could not be reported")

    def close(self) -> None:
        """Answer no more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # who waits in accept(2) is not woken by close(2)
        self._listener.close()
