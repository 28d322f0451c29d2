"""An AMQP channel for requests, opened again when the broker closes it.

A broker answers a request that it refuses by closing the channel (AMQP 0-9-1, section 2.2.4): what else was under way
on it fails with it, and nothing on other channels does. All methods run on the thread of the connection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from typing import Any

from pika.exceptions import AMQPChannelError, AMQPConnectionError
from pika.spec import BasicProperties

#: Bytes of a frame around the properties of a message: type, channel, size, class, weight, length of the body, end.
_FRAME_BYTES = 32


class BrokerDownError(Exception):
    """The broker cannot be reached now, or went away before it confirmed."""


class RefusedError(BrokerDownError):
    """The broker closed a channel or the connection because of one of the requests that were under way there."""


@dataclass(frozen=True)
class Message:
    """Something to publish."""

    exchange: str
    routing_key: str
    body: bytes
    properties: BasicProperties


@dataclass(frozen=True)
class Refusal:
    """Why the broker does not have a message.

    Attributes:
        reason: for people.
        no_queue: nothing is wrong with the message: its queue is not there.
    """

    reason: str
    no_queue: bool = False


@dataclass
class _Batch:
    """Messages of one publication that are not confirmed yet."""

    future: Future[dict[int, Refusal]]
    left: int
    refused: dict[int, Refusal] = field(default_factory=dict)

    def settle_if_done(self) -> None:
        if not self.left:
            settle(self.future, self.refused)


def settle(future: Future[Any], value: Any = None, error: Exception | None = None) -> None:
    """Give a future its outcome, unless it has one: the connection may go while a request is handed over."""
    try:
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
    except InvalidStateError:
        pass


class RequestChannel:
    """One of them.

    Args:
        opened: called each time that it is ready.
        lost: called with the error each time that the broker has closed it.
    """

    def __init__(self, opened: Callable[[], None], lost: Callable[[Exception], None]) -> None:
        self._on_opened = opened
        self._on_lost = lost
        self._channel: Any = None
        self._waiting: list[tuple[Future[Any], Callable[[Any], None]]] = []
        self._under_way: set[Future[Any]] = set()
        #: Batch, and place in it, of each message that waits for the broker's word, by delivery tag, in order.
        self._unconfirmed: dict[int, tuple[_Batch, int]] = {}
        self._tag = 0

    def open(self, connection: Any) -> None:
        """Begin to open it."""
        connection.channel(on_open_callback=self._opened)

    def down(self) -> None:
        """Forget what was on it: the connection is gone."""
        self._channel = None
        for requests in (self._waiting, self._under_way, self._unconfirmed):
            requests.clear()

    def request(self, future: Future[Any], go: Callable[[Any], None]) -> None:
        """Call ``go`` with the channel, now or as soon as it is open; it fails the future if it raises."""
        if self._channel is None:
            self._waiting.append((future, go))
            return
        self._under_way.add(future)
        future.add_done_callback(self._under_way.discard)
        try:
            go(self._channel)
        except Exception as error:
            settle(future, error=BrokerDownError(f"{type(error).__name__}: {error}"))

    def publish(self, future: Future[dict[int, Refusal]], messages: Sequence[Message]) -> None:
        """Publish messages; the future tells those that the broker refused, by their place."""

        def go(channel: Any) -> None:
            batch = _Batch(future, len(messages))
            for place, message in enumerate(messages):
                reason = self._send(channel, message)
                if reason is None:
                    self._tag += 1
                    self._unconfirmed[self._tag] = batch, place
                else:
                    batch.refused[place] = Refusal(reason)
                    batch.left -= 1
            batch.settle_if_done()

        self.request(future, go)

    def _send(self, channel: Any, message: Message) -> str | None:
        """Send a message; return why it cannot be sent, which nothing changes."""
        try:
            # By it the broker's word on a message without a queue is known for that of this one.
            message.properties.message_id = str(self._tag + 1)
            size, most = sum(map(len, message.properties.encode())), channel.connection.params.frame_max
            if size + _FRAME_BYTES > most:
                # The broker would end the connection, for everybody.
                return f"its properties have {size} bytes; the broker takes {most} in a frame"
            channel.basic_publish(
                message.exchange, message.routing_key, message.body, message.properties, mandatory=True
            )
        except (AMQPChannelError, AMQPConnectionError):
            raise
        except Exception as error:
            return f"it cannot be encoded: {type(error).__name__}: {error}"
        return None

    def _opened(self, channel: Any) -> None:
        self._tag = 0
        self._unconfirmed.clear()
        channel.add_on_close_callback(self._closed)
        channel.add_on_return_callback(self._returned)
        channel.confirm_delivery(self._confirmed, callback=lambda _frame: self._ready(channel))

    def _ready(self, channel: Any) -> None:
        self._channel = channel
        waiting, self._waiting = self._waiting, []
        self._on_opened()
        for future, go in waiting:
            self.request(future, go)

    def _closed(self, channel: Any, error: Exception) -> None:
        if not channel.connection.is_open:
            return
        self._channel = None
        under_way = list(self._under_way)
        self._unconfirmed.clear()
        self._on_lost(error)
        self.open(channel.connection)
        for future in under_way:
            settle(future, error=RefusedError(reason_of(error)))

    def _returned(self, _channel: Any, method: Any, properties: BasicProperties, _body: bytes) -> None:
        batch, place = self._unconfirmed.get(int(properties.message_id or 0), (None, 0))
        if batch is not None:
            batch.refused[place] = Refusal(f"{method.reply_text}: the queue {method.routing_key} is not there", True)

    def _confirmed(self, frame: Any) -> None:
        method = frame.method
        last: int = method.delivery_tag
        if method.multiple:
            tags = []
            for tag in self._unconfirmed:
                if tag > last:
                    break
                tags.append(tag)
        else:
            tags = [last]
        for tag in tags:
            batch, place = self._unconfirmed.pop(tag, (None, 0))
            if batch is None:
                continue
            batch.left -= 1
            if method.NAME != "Basic.Ack":
                batch.refused[place] = Refusal(
                    "the broker refused the message: by a policy of its queue, or out of order"
                )
            batch.settle_if_done()


def reason_of(error: BaseException) -> str:
    """Return name and text of the error that others are wrapped around: pika's own say nothing of it."""
    inner = [*error.args, *getattr(error, "exceptions", ()), getattr(error, "exception", None)]
    cause = next((each for each in reversed(inner) if isinstance(each, BaseException)), None)
    if cause is not None:
        return reason_of(cause)
    name, text = type(error).__name__, str(error)
    return f"{name}: {text}" if text else name
