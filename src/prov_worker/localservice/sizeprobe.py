"""How large a message the broker takes: asked by messages that no queue gets.

RabbitMQ takes 128 MiB before 4.0 and 16 MiB since (``max_message_size``, https://www.rabbitmq.com/docs/configure), and
tells no client: it closes the channel of one that sends more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pika.spec import BasicProperties

#: No queue has this name; nobody else's may begin so.
_NOWHERE = "prov-worker.size"
_STEP_BYTES = 64 * 1024


class SizeProbe:
    """Finds the largest message, up to what is wanted; runs on the thread of the connection.

    Args:
        connection: that is open.
        wanted_bytes: more is not looked for.
        tell: called with the size once it is found, within :data:`_STEP_BYTES`.
    """

    def __init__(self, connection: Any, wanted_bytes: int, tell: Callable[[int], None]) -> None:
        self._connection = connection
        self._tell = tell
        self._taken, self._refused = 0, wanted_bytes + 1
        self._size = wanted_bytes

    def start(self) -> None:
        """Begin."""
        self._connection.channel(on_open_callback=self._opened)

    def _opened(self, channel: Any) -> None:
        channel.add_on_close_callback(self._closed)
        channel.confirm_delivery(lambda _frame: self._confirmed(channel), callback=lambda _frame: self._send(channel))

    def _send(self, channel: Any) -> None:
        channel.basic_publish("", _NOWHERE, bytes(self._size), BasicProperties(delivery_mode=1))

    def _confirmed(self, channel: Any) -> None:
        self._taken = self._size
        if self._next():
            self._send(channel)
        else:
            channel.close()

    def _closed(self, channel: Any, _error: Any) -> None:
        if not channel.connection.is_open:
            return
        if self._taken < self._size:
            self._refused = self._size
            if self._next():
                self.start()
                return
        self._tell(self._taken)

    def _next(self) -> bool:
        """Choose the next size; return whether there is one."""
        if self._refused - self._taken <= _STEP_BYTES:
            return False
        self._size = (self._taken + self._refused) // 2
        return True
