"""``amqp://[USER@]HOST[:PORT][/VHOST][?stream=NAME]``: messages of a stream of RabbitMQ, by pika.

A stream keeps what was read, so that any number of readers see all of it; other queues give a message to one. It is
made if it is missing. ``amqps://`` is with TLS (:mod:`prov_worker.stream.tls`). https://www.rabbitmq.com/docs/streams
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from prov_worker.stream import tls
from prov_worker.stream.events import Event
from prov_worker.stream.sink import TIMEOUT_S, AwayError, RefusedError, check_parameters, need
from prov_worker.stream_url import SINKS, StreamUrl

_STREAM = "prov_worker"
_CONTENT_TYPE = "application/cloudevents+json"
_PERSISTENT = 2


class AmqpSink:
    """Publishes messages and waits for the broker's confirms; after a kill the last batch may come twice.

    A blocking connection of pika waits for the confirm of each message, 5 ms; this one waits for those of a batch.
    """

    def __init__(self, url: StreamUrl, password: str | None) -> None:
        self._pika = need("pika", url.sink)
        logging.getLogger("pika").setLevel(logging.CRITICAL)  # what it logs, with tracebacks, it raises as well
        parameters = check_parameters(url, ("stream", *tls.PARAMETERS))
        parts = urlsplit(url.text)
        self._stream = parameters.get("stream") or _STREAM
        secure = url.scheme == "amqps"
        files = tls.tls_files(url, secure=secure, how="begin it with amqps://")
        ssl_options = self._pika.SSLOptions(files.context(), parts.hostname) if secure else None
        self._parameters = self._pika.ConnectionParameters(
            host=parts.hostname,
            port=parts.port or (5671 if secure else 5672),
            virtual_host=unquote(parts.path[1:]) or "/",
            credentials=self._pika.PlainCredentials(unquote(parts.username or "guest"), password or "guest"),
            ssl_options=ssl_options,
            heartbeat=0,  # nobody answers one between two batches; a broker that is gone shows with the next batch
            socket_timeout=TIMEOUT_S,
            stack_timeout=TIMEOUT_S,
            blocked_connection_timeout=TIMEOUT_S,
            client_properties={"connection_name": "prov-worker stream"},
        )
        self._connection: Any = None
        self._channel: Any = None
        self._loop: Any = None
        self._error: BaseException | str | None = None
        self._waiting = False
        self._published = 0
        self._unconfirmed: set[int] = set()

    def open(self) -> None:
        """Connect, and make the stream if it is missing."""
        self._error = None
        self._published = 0
        self._unconfirmed.clear()
        self._connection = self._pika.SelectConnection(
            self._parameters,
            on_open_callback=lambda connection: connection.channel(on_open_callback=self._declare),
            on_open_error_callback=lambda _, error: self._fail(error),
            on_close_callback=lambda _, error: self._fail(error),
        )
        self._loop = self._connection.ioloop
        self._wait()

    def send(self, events: Sequence[Event]) -> None:
        """Publish a batch, and wait until all of it is confirmed."""
        properties = self._pika.BasicProperties
        try:
            for event in events:
                self._channel.basic_publish(
                    "",
                    self._stream,
                    event.line,
                    properties(
                        content_type=_CONTENT_TYPE, delivery_mode=_PERSISTENT, message_id=event.id, type=event.kind
                    ),
                )
                self._published += 1
                self._unconfirmed.add(self._published)
        except self._pika.exceptions.AMQPError as error:
            raise self._refusal(error) from error
        self._wait()

    def compare_clocks(self) -> None:
        """Return None: the broker tells no time."""

    def close(self) -> None:
        """Disconnect."""
        connection, self._connection, self._channel = self._connection, None, None
        if connection is None:
            return
        if connection.is_open:
            with contextlib.suppress(self._pika.exceptions.AMQPError, AwayError, RefusedError, OSError):
                self._error = None
                connection.close()
                self._wait()
        with contextlib.suppress(OSError):
            self._loop.close()

    def _declare(self, channel: Any) -> None:
        self._channel = channel
        channel.add_on_close_callback(lambda _, error: self._fail(error))
        arguments = {"x-queue-type": "stream"}
        channel.queue_declare(self._stream, durable=True, arguments=arguments, callback=self._declared)

    def _declared(self, _: Any) -> None:
        self._channel.confirm_delivery(self._confirm, callback=lambda _: self._stop())

    def _confirm(self, frame: Any) -> None:
        method = frame.method
        if isinstance(method, self._pika.spec.Basic.Nack):
            self._fail("the broker did not take a message")
            return
        if method.multiple:
            self._unconfirmed = {tag for tag in self._unconfirmed if tag > method.delivery_tag}
        self._unconfirmed.discard(method.delivery_tag)
        if not self._unconfirmed:
            self._stop()

    def _wait(self) -> None:
        """Let the connection work until it says that it has done what it was asked for.

        Raises:
            AwayError, RefusedError: it has failed, or has not answered for long.
        """
        if self._error is None:
            timer = self._loop.call_later(TIMEOUT_S, lambda: self._fail("no answer"))
            self._waiting = True
            self._loop.start()
            self._loop.remove_timeout(timer)
        if self._error is not None:
            raise self._refusal(self._error)

    def _stop(self) -> None:
        if self._waiting:
            self._waiting = False
            self._loop.stop()

    def _fail(self, error: BaseException | str) -> None:
        self._error = self._error or error
        self._stop()

    def _refusal(self, error: BaseException | str) -> AwayError | RefusedError:
        exceptions = self._pika.exceptions
        error = _cause(error)
        text = str(error) or type(error).__name__
        refused = (
            exceptions.ProbableAuthenticationError, exceptions.ProbableAccessDeniedError,
            exceptions.AuthenticationError,
        )  # fmt: skip
        if isinstance(error, refused):
            return RefusedError(text)
        # 403 access refused, 406 precondition failed (a queue of that name that is not a stream), 530 no such vhost
        code = getattr(error, "reply_code", None)
        return RefusedError(text) if code in (403, 406, 530) or tls.is_distrust(text) else AwayError(text)


def _cause(error: BaseException | str) -> BaseException | str:
    """Return what a connection has failed for: pika has it within an exception of each step, of the last try."""
    while True:
        attempts = getattr(error, "exceptions", None)
        inner = attempts[-1] if attempts else getattr(error, "exception", None)
        if not isinstance(inner, BaseException):
            return error
        error = inner


SINKS.add("amqp", AmqpSink)
