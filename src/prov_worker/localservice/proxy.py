"""HTTP and AMQP on one port: the first bytes of a connection tell them apart, and AMQP goes on to the broker.

So one port is all that a host has to publish for stock scripts outside a container network. The bytes are passed on
unread; the broker itself checks who may do what.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import Any

import pika

from prov_worker.localservice.connections import Connections, LimitedProtocol

_log = logging.getLogger(__name__)
#: AMQP 0-9-1, section 4.2.2: a client begins with these bytes and the version.
_AMQP = b"AMQP"
#: Bytes that may wait for a slow broker or client before reading pauses.
_HIGH_WATER = 1024 * 1024


class _Downstream(asyncio.Protocol):
    """The connection to the broker."""

    def __init__(self, client: asyncio.Transport) -> None:
        self._client = client
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._client.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._client.close()

    def pause_writing(self) -> None:
        self._client.pause_reading()

    def resume_writing(self) -> None:
        self._client.resume_reading()


class _AmqpClient(asyncio.Protocol):
    """A client's connection, once it has turned out to be AMQP."""

    def __init__(
        self, parameters: pika.URLParameters, transport: asyncio.Transport, first: bytes, limits: Connections
    ) -> None:
        self._limits = limits
        limits.work(self)
        self._transport = transport
        self._first = first
        self._broker: asyncio.Transport | None = None
        self._closed = False
        transport.set_write_buffer_limits(high=_HIGH_WATER)
        transport.pause_reading()
        self._connecting = asyncio.ensure_future(self._connect(parameters))

    async def _connect(self, parameters: pika.URLParameters) -> None:
        context: ssl.SSLContext | None = parameters.ssl_options.context if parameters.ssl_options else None
        loop = asyncio.get_running_loop()
        try:
            transport, _ = await loop.create_connection(
                lambda: _Downstream(self._transport),
                parameters.host,
                parameters.port,
                ssl=context,
                server_hostname=parameters.host if context else None,
            )
        except OSError as error:
            _log.info("AMQP client: the broker cannot be reached: %s", error)
            self._transport.close()
            return
        assert isinstance(transport, asyncio.Transport)
        if self._closed:
            transport.close()
            return
        transport.set_write_buffer_limits(high=_HIGH_WATER)
        transport.write(self._first)
        self._first = b""
        self._broker = transport
        self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        if self._broker is None:
            self._first += data
        else:
            self._broker.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._limits.drop(self)
        self._closed = True
        if self._broker is not None:
            self._broker.close()

    def pause_writing(self) -> None:
        if self._broker is not None:
            self._broker.pause_reading()

    def resume_writing(self) -> None:
        if self._broker is not None:
            self._broker.resume_reading()


def protocol_for(amqp_url: str, connections: Connections) -> type[LimitedProtocol]:
    """Return a protocol class for uvicorn that speaks HTTP/1.1 and passes AMQP on to a broker.

    The broker ends AMQP connections that do not log in within ten seconds (RabbitMQ's ``handshake_timeout``).
    """
    parameters = pika.URLParameters(amqp_url)

    class HttpOrAmqp(LimitedProtocol):
        """HTTP, until the first bytes say otherwise."""

        limits = connections

        _sniffed = b""
        _decided = False

        def data_received(self, data: bytes) -> None:
            if self._decided:
                super().data_received(data)
                return
            self._sniffed += data
            if len(self._sniffed) < len(_AMQP) and _AMQP.startswith(self._sniffed):
                return
            self._decided = True
            first, self._sniffed = self._sniffed, b""
            if first.startswith(_AMQP):
                self._hand_over(first)
            else:
                super().data_received(first)

        def _hand_over(self, first: bytes) -> None:
            transport: Any = self.transport
            # Uvicorn closes what it counts among its connections when it stops; this one stays counted until then.
            self._unset_keepalive_if_required()
            self.let_go()
            client = _AmqpClient(parameters, transport, first, self.limits)
            self.connections.discard(self)
            transport.set_protocol(client)

    return HttpOrAmqp
