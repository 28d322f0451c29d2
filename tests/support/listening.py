"""Sockets of loopback that tests listen on."""

from __future__ import annotations

import socket
from collections.abc import Iterator


def connections(listener: socket.socket) -> Iterator[socket.socket]:
    """Yield those who connect, until it is closed."""
    while True:
        try:
            yield listener.accept()[0]
        except OSError:
            return


def end(listener: socket.socket) -> None:
    """Close it; closing alone would leave a thread waiting for the next connection."""
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
