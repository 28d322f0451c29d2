"""The connection to the AMQP broker: one connection, one thread; other threads hand it closures.

The thread connects, declares what the service listens to, consumes, and connects again when the broker goes away. What
was under way then fails with :class:`BrokerDownError`: the durable state knows what must be done again.

Four channels share the connection, so that a request that the broker refuses takes none of another kind with it: what
comes in, what is published, what is published alone because it is suspected, and queues.
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
from pika.exceptions import ConnectionClosedByBroker
from pika.spec import BasicProperties

from prov_worker.localservice import topology
from prov_worker.localservice.channel import (
    BrokerDownError,
    Message,
    Refusal,
    RefusedError,
    RequestChannel,
    reason_of,
    settle,
)
from prov_worker.localservice.sizeprobe import SizeProbe

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

#: Deliveries that may be under way, not yet acknowledged.
_PREFETCH = 4000
_RETRY_S = (0.2, 0.5, 1.0, 2.0)
#: Reply code of a broker that an operator stops, or that ends a connection for no fault of what came on it.
_FORCED = 320
#: A heartbeat that nobody has fetched for so long says nothing any more.
_HEARTBEAT_TTL_MS = 60_000


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
        largest_bytes: no message is meant to be larger.
    """

    def __init__(
        self, url: str, on_delivery: Callable[[Delivery], None], on_up: Callable[[], None], largest_bytes: int
    ) -> None:
        self._parameters = pika.URLParameters(url)
        self._parameters.client_properties = {"connection_name": "prov-worker service"}
        self._on_delivery = on_delivery
        self._on_up = on_up
        self._thread = threading.Thread(target=self._run, name="broker", daemon=True)
        self._stopping = threading.Event()
        self._up = threading.Event()
        self._connection: SelectConnection | None = None
        #: The channel of what comes in.
        self._intake: Any = None
        self._publishing, self._trying, self._asking = (
            RequestChannel(self._channel_opened, self._channel_lost) for _ in range(3)
        )
        self._intake_is_ready = False
        self._missing_channels = 0
        self._session = 0
        self._largest = largest_bytes
        #: Bytes of the largest message that the broker takes, as far as it is of interest.
        self.largest_bytes = largest_bytes
        #: Why the broker takes no messages at present; empty if it does.
        self.blocked = ""
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

    def publish(self, messages: Sequence[Message], *, alone: bool = False) -> Future[dict[int, Refusal]]:
        """Publish messages; the future is done when the broker has confirmed or refused each of them.

        Args:
            messages: all of them to queues that are there.
            alone: apart from all others: if the broker closes the channel, then it is because of these.

        The future's value has those that were refused, by their place. It fails with :class:`RefusedError` if one of
        those under way closed the channel, and with :class:`BrokerDownError` if the broker went away.
        """
        future: Future[dict[int, Refusal]] = Future()
        channel = self._trying if alone else self._publishing
        return self._ask(future, lambda: channel.publish(future, messages))

    def declare_queue(self, name: str) -> Future[QueueDepth]:
        """Make sure that a durable queue exists, of whatever kind; tells what is in it."""
        answer: Future[QueueDepth] = Future()

        def retry_passively(first: Future[QueueDepth]) -> None:
            error = first.exception()
            if not isinstance(error, RefusedError):
                settle(answer, None if error else first.result(), error if isinstance(error, Exception) else None)
                return
            # It may be there with other arguments, as one that an operator has made does.
            self._declare(name, passive=True).add_done_callback(
                lambda second: settle(
                    answer, None if second.exception() else second.result(), error if second.exception() else None
                )
            )

        self._declare(name).add_done_callback(retry_passively)
        return answer

    def _declare(self, name: str, *, passive: bool = False) -> Future[QueueDepth]:
        return self._on_queues(
            lambda channel, done: channel.queue_declare(name, durable=True, passive=passive, callback=done),
            lambda method: QueueDepth(method.message_count, method.consumer_count),
        )

    def purge_queue(self, name: str) -> Future[int]:
        """Drop what waits in a queue; tells how many messages."""
        return self._on_queues(
            lambda channel, done: channel.queue_purge(name, callback=done), lambda method: int(method.message_count)
        )

    def delete_queue(self, name: str) -> Future[None]:
        """Delete a queue; nothing happens if there is none."""
        return self._on_queues(lambda channel, done: channel.queue_delete(name, callback=done), lambda _method: None)

    def _on_queues(self, ask: Callable[[Any, Callable[[Any], None]], None], read: Callable[[Any], _T]) -> Future[_T]:
        """Ask something on the channel of queues; ``read`` makes the future's value of the answer."""
        future: Future[_T] = Future()

        def go(channel: Any) -> None:
            ask(channel, lambda frame: settle(future, read(frame.method)))

        return self._ask(future, lambda: self._asking.request(future, go))

    def acknowledge(self, session: int, tag: int) -> None:
        """Acknowledge all deliveries of a connection up to one; of an earlier connection, nothing is left to do."""

        def go() -> None:
            if session == self._session and self._intake is not None and self._intake.is_open:
                self._intake.basic_ack(tag, multiple=True)

        self._on_loop(go)

    # On the broker's thread ----------------------------------------------------------------------------------------

    def _ask(self, future: Future[_T], go: Callable[[], None]) -> Future[_T]:
        with self._guard:
            self._pending.add(future)
        future.add_done_callback(self._forget)

        def guarded() -> None:
            if self._up.is_set():
                go()
            else:
                settle(future, error=BrokerDownError(self.last_error))

        # The connection may go between the two looks, and its loop with what was handed to it.
        if not self._up.is_set() or not self._on_loop(guarded) or not self._up.is_set():
            settle(future, error=BrokerDownError(self.last_error))
        return future

    def _forget(self, future: Future[Any]) -> None:
        with self._guard:
            self._pending.discard(future)

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
            self._down(BrokerDownError(self.last_error or "connection closed"))
            self._stopping.wait(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])

    def _note(self, error: Any) -> None:
        text = reason_of(error) if isinstance(error, BaseException) else str(error)
        if text != self.last_error and not self._stopping.is_set():
            _log.warning("broker: %s", text)
        self.last_error = text

    def _opened(self, connection: SelectConnection) -> None:
        self.blocked = ""
        connection.add_on_connection_blocked_callback(self._on_blocked)
        connection.add_on_connection_unblocked_callback(lambda *_: self._on_blocked(connection, None))
        self._missing_channels = 3
        connection.channel(on_open_callback=self._intake_opened)
        for channel in (self._publishing, self._trying, self._asking):
            channel.open(connection)

    def _on_blocked(self, _connection: Any, frame: Any) -> None:
        self.blocked = "" if frame is None else str(frame.method.reason or "no reason given")
        if self.blocked:
            _log.warning("broker: it takes no messages: %s", self.blocked)

    def _ended(self, connection: SelectConnection, error: Any) -> None:
        self._note(error)
        if isinstance(error, ConnectionClosedByBroker) and error.reply_code != _FORCED:
            # Something that came on this connection was not to its liking.
            self._down(RefusedError(reason_of(error)), close=False)
        connection.ioloop.stop()

    def _intake_opened(self, channel: Any) -> None:
        self._intake = channel
        self._session += 1
        channel.add_on_close_callback(self._intake_closed)
        channel.basic_qos(prefetch_count=_PREFETCH)
        for name, arguments in ((topology.RESULTS, None), (topology.HEARTBEATS, {"x-message-ttl": _HEARTBEAT_TTL_MS})):
            channel.exchange_declare(name, exchange_type="topic", durable=True)
            channel.queue_declare(name, durable=True, arguments=arguments)
            channel.queue_bind(name, name, routing_key="#")
            channel.basic_consume(name, self._delivered_from(name), consumer_tag=name)
        # Requests of one channel are answered in order: when this one is, so are all above.
        channel.basic_qos(prefetch_count=_PREFETCH, callback=lambda _frame: self._intake_ready())

    def _intake_ready(self) -> None:
        self._intake_is_ready = True
        self._look_whether_up()

    def _channel_opened(self) -> None:
        self._missing_channels -= 1
        self._look_whether_up()

    def _channel_lost(self, error: Exception) -> None:
        self._missing_channels += 1
        _log.warning("broker: it refused a request: %s", reason_of(error))

    def _look_whether_up(self) -> None:
        if self._up.is_set() or self._missing_channels or not self._intake_is_ready or self._connection is None:
            return
        self.up_since = time.time()
        self._up.set()
        if self.last_error:
            _log.info("broker: connected")
        self.last_error = ""
        SizeProbe(self._connection, self._largest, self._tell_largest).start()
        self._on_up()

    def _tell_largest(self, size: int) -> None:
        if size < self._largest:
            _log.warning("broker: it takes messages of %d bytes at most; %d are wanted", size, self._largest)
        self.largest_bytes = size

    def _intake_closed(self, channel: Any, error: Any) -> None:
        self._note(error)
        if channel.connection.is_open:
            channel.connection.close()

    def _delivered_from(self, queue: str) -> Callable[[Any, Any, Any, bytes], None]:
        def delivered(_channel: Any, method: Any, _properties: Any, body: bytes) -> None:
            self._on_delivery(Delivery(self._session, method.delivery_tag, queue, method.routing_key, body))

        return delivered

    def _down(self, error: Exception, *, close: bool = True) -> None:
        self._up.clear()
        self._intake, self._intake_is_ready = None, False
        for channel in (self._publishing, self._trying, self._asking):
            channel.down()
        if close:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.ioloop.close()
        with self._guard:
            pending = list(self._pending)
        for future in pending:
            settle(future, error=error)

    def _close(self) -> None:
        if self._connection is not None and self._connection.is_open:
            self._connection.close()
        elif self._connection is not None:
            self._connection.ioloop.stop()


def persistent(*, headers: dict[str, Any] | None = None, expires_ms: int | None = None) -> BasicProperties:
    """Return properties of a message that survives a restart of the broker, stamped now."""
    return BasicProperties(
        content_type="application/json",
        delivery_mode=2,
        timestamp=int(time.time()),
        headers=headers,
        expiration=None if expires_ms is None else str(expires_ms),
    )
