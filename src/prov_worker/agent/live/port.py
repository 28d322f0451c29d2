"""The agent's port for Prometheus: ``GET /metrics`` on 127.0.0.1, for whoever is on this node, and nothing else.

One request per connection, one connection at a time, each within a second: nobody keeps the agent from its work.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from prov_worker.agent.live.listener import PATIENCE_S, Listener

_ADDRESS = "127.0.0.1"
#: A program on another site cannot name the port by a host name of its own (DNS rebinding).
_HOSTS = frozenset((b"127.0.0.1", b"localhost"))
_LONGEST_BYTES = 8192
_WAITING = 16
_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class MetricsPort:
    """Answers in a thread of its own.

    Args:
        port: number of the port.
        answer: gives the text in the exposition format.

    Raises:
        OSError: the port is somebody else's.
    """

    def __init__(self, port: int, answer: Callable[[], str]) -> None:
        self._answer = answer
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((_ADDRESS, port))
            listener.listen(_WAITING)
        except OSError:
            listener.close()
            raise
        self._serving = Listener(listener, self._reply, "metrics")

    def _reply(self, connection: socket.socket) -> None:
        connection.sendall(self._response(_head(connection)))

    def _response(self, head: bytes) -> bytes:
        request, *lines = head.split(b"\r\n")
        method, path, *_ = [*request.split(b" "), b"", b""]
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        host = headers.get(b"host", b"").rpartition(b":")
        name = host[0] if host[1] else host[2]
        if method not in (b"GET", b"HEAD"):
            return _message("405 Method Not Allowed", "only GET\n", "Allow: GET, HEAD\r\n")
        if name not in _HOSTS:
            return _message("421 Misdirected Request", "this is 127.0.0.1\n")
        if path.partition(b"?")[0] != b"/metrics":
            return _message("404 Not Found", "only /metrics\n")
        message = _message("200 OK", self._answer())
        return message if method == b"GET" else message.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"

    def close(self) -> None:
        """Let the port go."""
        self._serving.close()


def _head(connection: socket.socket) -> bytes:
    """Return the request up to its empty line, or as much as came in time."""
    until = time.monotonic() + PATIENCE_S
    data = b""
    while b"\r\n\r\n" not in data and len(data) < _LONGEST_BYTES and time.monotonic() < until:
        chunk = connection.recv(_LONGEST_BYTES)
        if not chunk:
            break
        data += chunk
    return data.partition(b"\r\n\r\n")[0]


def _message(status: str, text: str, more: str = "") -> bytes:
    body = text.encode("utf-8", "replace")
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {_TYPE}\r\nContent-Length: {len(body)}\r\n{more}Connection: close\r\n\r\n"
    )
    return head.encode("ascii") + body
