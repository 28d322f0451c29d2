"""The way to a Kafka broker of a test: a port that stays while brokers come and go, with TLS and SASL if asked.

Brokers tell clients where they are; what they say is changed to this port on its way, in the frames of the protocol:
https://kafka.apache.org/protocol#protocol_network
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import threading
from collections.abc import Iterator

from support.listening import connections, end

_HOST = b"127.0.0.1"
_API_VERSIONS, _SASL_HANDSHAKE = 18, 17
_UNSUPPORTED_VERSION = 35
#: From which on the answer to API_VERSIONS has lists whose length is a variable number of bytes.
_FLEXIBLE = 3
_PATIENCE_S = 60.0


class KafkaFront:
    """Passes frames on, until it is closed.

    Args:
        context: has connections with TLS.
        login: user and password that SASL's PLAIN (RFC 4616) has to bring.

    Attributes:
        port: where it listens.
        target: port of the broker; 0 while there is none.
        refused: logins that were wrong.
    """

    def __init__(self, context: ssl.SSLContext | None = None, login: tuple[str, str] | None = None) -> None:
        self._context, self._login = context, login
        self._listener = socket.create_server((_HOST.decode(), 0))
        self.port = int(self._listener.getsockname()[1])
        self.target = 0
        self.refused = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        end(self._listener)

    def _accept(self) -> None:
        for near in connections(self._listener):
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.enter_context(near)
            near.settimeout(_PATIENCE_S)
            if self._context is not None:
                near = stack.enter_context(self._context.wrap_socket(near, server_side=True))
            if not self.target:
                return
            target = self.target
            far = stack.enter_context(socket.create_connection((_HOST.decode(), target), timeout=_PATIENCE_S))
            admitted, versions = self._login is None, 0
            requests, answers = _Frames(near), _Frames(far)
            # One thread for both ways: a TLS connection takes no more at a time.
            while True:
                waits = isinstance(near, ssl.SSLSocket) and near.pending()
                ready = [near] if waits else select.select([near, far], [], [], _PATIENCE_S)[0]
                for frame in requests.come() if near in ready else ():
                    api, version = struct.unpack_from(">hh", frame)
                    if admitted or api == _API_VERSIONS:
                        versions = version if api == _API_VERSIONS else versions
                        _send(far, frame)
                    elif api == _SASL_HANDSHAKE:
                        _send(near, frame[4:8] + struct.pack(">hih5s", 0, 1, 5, b"PLAIN"))
                    elif self._knows(frame):
                        admitted = True
                        _send(near, b"")
                    else:
                        return
                for frame in answers.come() if far in ready else ():
                    if not admitted:  # the only answer until then; the mock cluster knows no logins
                        frame = _with_handshake(frame, versions)
                    _send(near, frame.replace(*(_HOST + struct.pack(">i", port) for port in (target, self.port))))
                if requests.over or answers.over:
                    return

    def _knows(self, frame: bytes) -> bool:
        """Whether a login is right: after version 0 of SaslHandshake a frame is what the mechanism says."""
        assert self._login is not None
        user, password = self._login
        if frame == f"\0{user}\0{password}".encode():
            return True
        self.refused += 1
        return False


class _Frames:
    """Takes a connection apart; a frame has four bytes of length before it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._data = b""
        self.over = False

    def come(self) -> Iterator[bytes]:
        """Read what has come, and yield the frames that are whole."""
        chunk = self._connection.recv(1 << 16)
        self.over = not chunk
        self._data += chunk
        while len(self._data) >= 4:
            (length,) = struct.unpack_from(">i", self._data)
            if len(self._data) < 4 + length:
                return
            frame, self._data = self._data[4 : 4 + length], self._data[4 + length :]
            yield frame


def _send(connection: socket.socket, frame: bytes) -> None:
    connection.sendall(struct.pack(">i", len(frame)) + frame)


def _with_handshake(frame: bytes, version: int) -> bytes:
    """Return an answer to API_VERSIONS that has SASL_HANDSHAKE, version 0, too."""
    (error,) = struct.unpack_from(">h", frame, 4)
    entry = struct.pack(">hhh", _SASL_HANDSHAKE, 0, 0)
    if version >= _FLEXIBLE and error != _UNSUPPORTED_VERSION:
        return frame[:6] + bytes([frame[6] + 1]) + entry + b"\0" + frame[7:]
    (count,) = struct.unpack_from(">i", frame, 6)
    return frame[:6] + struct.pack(">i", count + 1) + entry + frame[10:]
