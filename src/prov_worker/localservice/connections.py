"""Limits of connections: how many there are, how long a request may take to come, and an answer to be taken.

As other servers on shared machines have them: OpenSSH's ``LoginGraceTime`` and ``MaxStartups``, nginx'
``client_header_timeout``, ``client_body_timeout`` and ``send_timeout``.
"""

from __future__ import annotations

import asyncio
import resource
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

#: Until the line and the headers of a request are there, from the connection or from the first byte on.
HEAD_S = 10.0
#: Between two pieces of a body, and between two that a client takes of an answer.
PAUSE_S = 20.0
#: For a whole body.
BODY_S = 120.0
#: Descriptors that are not for connections: broker, listeners, log, those of the database in each of 42 threads, and
#: connections that are accepted and have not yet made space.
_RESERVED = 256


def most_connections(wanted: int, per_connection: int) -> int:
    """Return how many connections the descriptors of this process suffice for, up to ``wanted``.

    Args:
        wanted: by the configuration.
        per_connection: descriptors that one needs at most.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted * per_connection + _RESERVED
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else max(8, min(wanted, (soft - _RESERVED) // per_connection))


class Connections:
    """Those that are open, oldest first.

    Args:
        most: when there are as many, each new one takes the place of the oldest that has no request under way.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        #: Without a request under way: none has come yet, and at least one has been answered.
        self._new: dict[LimitedProtocol, None] = {}
        self._idle: dict[LimitedProtocol, None] = {}
        self._busy: set[object] = set()
        #: Closed for another's sake.
        self.closed = 0

    def __len__(self) -> int:
        return len(self._new) + len(self._idle) + len(self._busy)

    def make_room(self) -> bool:
        """Close one without a request under way, if there are too many; return whether there is space."""
        if len(self) < self._most:
            return True
        oldest = next(iter(self._new), None) or next(iter(self._idle), None)
        if oldest is None:
            return False
        self.closed += 1
        self.drop(oldest)
        oldest.transport.abort()
        return True

    def wait(self, protocol: LimitedProtocol, *, new: bool) -> None:
        """Count a connection among those without a request under way."""
        self.drop(protocol)
        (self._new if new else self._idle)[protocol] = None

    def work(self, protocol: object) -> None:
        """Count a connection among those that are at work."""
        self.drop(protocol)
        self._busy.add(protocol)

    def drop(self, protocol: object) -> None:
        """Forget a connection."""
        self._new.pop(protocol, None)  # type: ignore[call-overload]
        self._idle.pop(protocol, None)  # type: ignore[call-overload]
        self._busy.discard(protocol)


def protocol_for(connections: Connections) -> type[LimitedProtocol]:
    """Return a protocol class for uvicorn, with the limits of one service."""

    class Http(LimitedProtocol):
        limits = connections

    return Http


class LimitedProtocol(H11Protocol):
    """HTTP/1.1 of uvicorn, with limits of time; ``limits`` are those of all connections of a service."""

    limits: Connections

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._timer: asyncio.TimerHandle | None = None
        self._began = 0.0
        self._stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, if there is space."""
        super().connection_made(transport)
        if self.limits.make_room():
            self.limits.wait(self, new=True)
            self._set_timer(HEAD_S)
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of it."""
        self.let_go()
        super().connection_lost(exc)

    def let_go(self) -> None:
        """End what watches the connection: it is closed, or another protocol's."""
        self.limits.drop(self)
        self._cancel()
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def data_received(self, data: bytes) -> None:
        """Take in bytes of a request."""
        waited = self._receives_nothing
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._receives_nothing:
            if waited and self._timer is None:
                self._set_timer(HEAD_S)
        elif self.conn.their_state is h11.SEND_BODY:
            if waited:
                self._began = self.loop.time()
            self._set_timer(min(PAUSE_S, self._began + BODY_S - self.loop.time()))
        else:
            self._cancel()
        if not self._receives_nothing:
            self.limits.work(self)

    @property
    def _receives_nothing(self) -> bool:
        """Whether no request is under way: its head is not complete."""
        return self.conn.their_state is h11.IDLE

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        if not self.transport.is_closing() and self._receives_nothing:
            self._cancel()
            self.limits.wait(self, new=False)

    def pause_writing(self) -> None:
        """Note that the client does not take what it has asked for."""
        super().pause_writing()
        self._stuck = self.loop.call_later(PAUSE_S, self._abort)

    def resume_writing(self) -> None:
        """Note that it does."""
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None
        super().resume_writing()

    def _set_timer(self, seconds: float) -> None:
        self._cancel()
        self._timer = self.loop.call_later(max(0.0, seconds), self._too_slow)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        if self.flow.read_paused:
            # It is the service that does not read: the request waits for its turn.
            self._set_timer(PAUSE_S)
        else:
            self._abort()

    def _abort(self) -> None:
        self.transport.abort()
