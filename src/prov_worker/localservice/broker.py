"""The connection to the AMQP broker: one connection, one thread; other threads hand it closures.

The thread connects, declares what the service listens to, consumes, and connects again when the broker goes away. What
was under way then fails with :class:`BrokerDownError`: the durable state knows what must be done again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

import pika
from pika.adapters.select_connection import SelectConnection
from pika.spec import BasicProperties

from prov_worker.localservice import topology

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

#: Deliveries that may be under way, not yet acknowledged.
_PREFETCH = 4000
_RETRY_S = (0.2, 0.5, 1.0, 2.0)
#: A heartbeat that nobody has fetched for so long says nothing any more.
_HEARTBEAT_TTL_MS = 60_000


class BrokerDownError(Exception):
    """The broker cannot be reached now, or went away before it confirmed."""


@dataclass(frozen=True)
class Message:
    """Something to publish."""

    exchange: str
    routing_key: str
    body: bytes
    properties: BasicProperties


@dataclass(frozen=True)
class Delivery:
    """Something that came; ``session`` numbers the connection that its tag belongs to."""

    session: int
    tag: int
    queue: str
    routing_key: str
    body: bytes


@dataclass(frozen=True)
class QueueDepth:
    """Messages that wait in a queue, and who listens."""

    messages: int
    consumers: int


class Broker:
    """The service's connection.

    Args:
        url: AMQP URL.
        on_delivery: called on the broker's thread for each message of ``results`` and ``heartbeats``.
        on_up: called on the broker's thread each time the connection is ready.
    """

    def __init__(self, url: str, on_delivery: Callable[[Delivery], None], on_up: Callable[[], None]) -> None:
        self._parameters = pika.URLParameters(url)
        self._parameters.client_properties = {"connection_name": "prov-worker service"}
        self._on_delivery = on_delivery
        self._on_up = on_up
        self._thread = threading.Thread(target=self._run, name="broker", daemon=True)
        self._stopping = threading.Event()
        self._up = threading.Event()
        self._connection: SelectConnection | None = None
        self._channel: Any = None
        self._session = 0
        self._tag = 0
        #: Publications that wait for the broker's confirmation, by delivery tag, in order.
        self._unconfirmed: dict[int, _Batch] = {}
        self._pending: set[Future[Any]] = set()
        self._guard = threading.Lock()
        self.last_error = "not yet connected"
        #: When the connection became ready, seconds since the epoch.
        self.up_since = 0.0

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    @property
    def up(self) -> bool:
        """Whether the broker is there now."""
        return self._up.is_set()

    def wait_up(self, timeout_s: float) -> bool:
        """Wait until the broker is there; False after the timeout."""
        return self._up.wait(timeout_s)

    def stop(self) -> None:
        """Close the connection and end the thread."""
        self._stopping.set()
        self._on_loop(self._close)
        self._thread.join(timeout=10)

    # What other threads ask for ------------------------------------------------------------------------------------

    def publish(self, messages: Sequence[Message]) -> Future[None]:
        """Publish messages; the future is done when the broker has confirmed them all."""
        future: Future[None] = Future()

        def go() -> None:
            batch = _Batch(future, len(messages))
            if not messages:
                self._settle(future, None)
            for message in messages:
                self._tag += 1
                self._unconfirmed[self._tag] = batch
                self._channel.basic_publish(message.exchange, message.routing_key, message.body, message.properties)

        return self._ask(future, go)

    def declare_queue(self, name: str) -> Future[QueueDepth]:
        """Make sure that a durable queue exists; tells what is in it."""
        future: Future[QueueDepth] = Future()

        def done(frame: Any) -> None:
            self._settle(future, QueueDepth(frame.method.message_count, frame.method.consumer_count))

        return self._ask(future, lambda: self._channel.queue_declare(name, durable=True, callback=done))

    def purge_queue(self, name: str) -> Future[int]:
        """Drop what waits in a queue; tells how many messages."""
        future: Future[int] = Future()
        return self._ask(
            future,
            lambda: self._channel.queue_purge(
                name, callback=lambda frame: self._settle(future, frame.method.message_count)
            ),
        )

    def delete_queue(self, name: str) -> Future[None]:
        """Delete a queue; nothing happens where there is none."""
        future: Future[None] = Future()
        return self._ask(
            future, lambda: self._channel.queue_delete(name, callback=lambda _frame: self._settle(future, None))
        )

    def acknowledge(self, session: int, tag: int) -> None:
        """Acknowledge all deliveries of a connection up to one; of an earlier connection, nothing is left to do."""

        def go() -> None:
            if session == self._session and self._channel is not None and self._channel.is_open:
                self._channel.basic_ack(tag, multiple=True)

        self._on_loop(go)

    # On the broker's thread ----------------------------------------------------------------------------------------

    def _ask(self, future: Future[_T], go: Callable[[], None]) -> Future[_T]:
        with self._guard:
            self._pending.add(future)

        def guarded() -> None:
            if not self._up.is_set():
                self._fail(future, BrokerDownError(self.last_error))
                return
            try:
                go()
            except Exception as error:
                self._fail(future, BrokerDownError(f"{type(error).__name__}: {error}"))

        if not self._up.is_set() or not self._on_loop(guarded):
            self._fail(future, BrokerDownError(self.last_error))
        elif not self._up.is_set():
            # The connection may have gone between the two looks, and its loop with what was handed to it.
            self._fail(future, BrokerDownError(self.last_error))
        return future

    def _on_loop(self, go: Callable[[], None]) -> bool:
        connection = self._connection
        if connection is None:
            return False
        try:
            connection.ioloop.add_callback_threadsafe(go)
        except Exception:
            # The loop has just been closed.
            return False
        return True

    def _settle(self, future: Future[Any], value: Any) -> None:
        with self._guard:
            pending = future in self._pending
            self._pending.discard(future)
        if pending:
            future.set_result(value)

    def _fail(self, future: Future[Any], error: Exception) -> None:
        with self._guard:
            pending = future in self._pending
            self._pending.discard(future)
        if pending:
            future.set_exception(error)

    def _run(self) -> None:
        attempt = 0
        while not self._stopping.is_set():
            try:
                self._connection = SelectConnection(
                    self._parameters,
                    on_open_callback=self._opened,
                    on_open_error_callback=self._ended,
                    on_close_callback=self._ended,
                )
                self._connection.ioloop.start()
            except Exception as error:
                self._note(error)
            attempt = 0 if self._up.is_set() else attempt + 1
            self._down()
            self._stopping.wait(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])

    def _note(self, error: Any) -> None:
        text = _reason(error) if isinstance(error, BaseException) else str(error)
        if text != self.last_error and not self._stopping.is_set():
            _log.warning("broker: %s", text)
        self.last_error = text

    def _opened(self, connection: SelectConnection) -> None:
        connection.channel(on_open_callback=self._channel_opened)

    def _ended(self, connection: SelectConnection, error: Any) -> None:
        self._note(error)
        connection.ioloop.stop()

    def _channel_opened(self, channel: Any) -> None:
        self._channel = channel
        self._tag = 0
        self._session += 1
        channel.add_on_close_callback(self._channel_closed)
        channel.confirm_delivery(self._confirmed)
        channel.basic_qos(prefetch_count=_PREFETCH)
        for name, arguments in ((topology.RESULTS, None), (topology.HEARTBEATS, {"x-message-ttl": _HEARTBEAT_TTL_MS})):
            channel.exchange_declare(name, exchange_type="topic", durable=True)
            channel.queue_declare(name, durable=True, arguments=arguments)
            channel.queue_bind(name, name, routing_key="#")
            channel.basic_consume(name, self._delivered_from(name), consumer_tag=name)
        # Requests of one channel are answered in order: when this one is, so are all above.
        channel.basic_qos(prefetch_count=_PREFETCH, callback=self._ready)

    def _ready(self, _frame: Any) -> None:
        self.up_since = time.time()
        self._up.set()
        if self.last_error:
            _log.info("broker: connected")
        self.last_error = ""
        self._on_up()

    def _channel_closed(self, channel: Any, error: Any) -> None:
        self._note(error)
        if channel.connection.is_open:
            channel.connection.close()

    def _delivered_from(self, queue: str) -> Callable[[Any, Any, Any, bytes], None]:
        def delivered(_channel: Any, method: Any, _properties: Any, body: bytes) -> None:
            self._on_delivery(Delivery(self._session, method.delivery_tag, queue, method.routing_key, body))

        return delivered

    def _confirmed(self, frame: Any) -> None:
        method = frame.method
        positive = method.NAME == "Basic.Ack"
        if method.multiple:
            tags = []
            for tag in self._unconfirmed:
                if tag > method.delivery_tag:
                    break
                tags.append(tag)
        else:
            tags = [method.delivery_tag]
        for tag in tags:
            batch = self._unconfirmed.pop(tag, None)
            if batch is None:
                continue
            batch.left -= 1
            if not positive:
                self._fail(batch.future, BrokerDownError("the broker refused a message"))
            elif not batch.left:
                self._settle(batch.future, None)

    def _down(self) -> None:
        self._up.clear()
        self._channel = None
        self._unconfirmed.clear()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.ioloop.close()
        with self._guard:
            pending = list(self._pending)
        for future in pending:
            self._fail(future, BrokerDownError(self.last_error or "connection closed"))

    def _close(self) -> None:
        if self._connection is not None and self._connection.is_open:
            self._connection.close()
        elif self._connection is not None:
            self._connection.ioloop.stop()


class _Batch:
    """Messages of one publication that are not confirmed yet."""

    def __init__(self, future: Future[None], left: int) -> None:
        self.future = future
        self.left = left


def persistent(*, headers: dict[str, Any] | None = None, expires_ms: int | None = None) -> BasicProperties:
    """Properties of a message that survives a restart of the broker, stamped now."""
    return BasicProperties(
        content_type="application/json",
        delivery_mode=2,
        timestamp=int(time.time()),
        headers=headers,
        expiration=None if expires_ms is None else str(expires_ms),
    )


def _reason(error: BaseException) -> str:
    """Name and text of the error that others are wrapped around: pika's own say nothing of it."""
    inner = [*error.args, *getattr(error, "exceptions", ()), getattr(error, "exception", None)]
    cause = next((each for each in reversed(inner) if isinstance(each, BaseException)), None)
    if cause is not None:
        return _reason(cause)
    name, text = type(error).__name__, str(error)
    return f"{name}: {text}" if text else name
