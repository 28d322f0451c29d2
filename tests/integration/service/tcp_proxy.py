"""A way to the broker that a test can cut."""

from __future__ import annotations

import socket
import threading

from support.listening import connections, end


class Proxy:
    """Passes connections of one port of loopback on to another, until it is cut, and again when it is repaired."""

    def __init__(self, target: int, port: int) -> None:
        self._target, self.port = target, port
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        self._cut = False
        self._listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End every connection, and each new one at once."""
        with self._guard:
            self._cut = True
            for connection in self._open:
                # Wakes whoever reads from it, which then closes it.
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def repair(self) -> None:
        """Let connections through again."""
        with self._guard:
            self._cut = False

    @property
    def connections(self) -> int:
        """Connections through it now."""
        with self._guard:
            return len(self._open) // 2

    def close(self) -> None:
        """Cut for good."""
        self.cut()
        end(self._listener)

    def _accept(self) -> None:
        for near in connections(self._listener):
            with self._guard:
                try:
                    if self._cut:
                        raise OSError
                    far = socket.create_connection(("127.0.0.1", self._target), timeout=60)
                except OSError:
                    near.close()
                    continue
                far.settimeout(None)
                self._open |= {near, far}
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(65_536):
                target.sendall(data)
        except OSError:
            # The other end is gone: so is this one, below.
            pass
        with self._guard:
            for connection in (source, target):
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue
                finally:
                    self._open.discard(connection)
        source.close()
