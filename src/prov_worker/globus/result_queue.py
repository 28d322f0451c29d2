"""Results of a task group as they come: a consumer of its queue.

The SDK's own looks every half second, acknowledges a message before anybody has seen its result, and ends every open
future with an error once it lost its connection five times. This one hands each result on at once, acknowledges what
was kept, and connects again for as long as it runs; what it missed is in the queue.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from prov_worker.errors import ProvWorkerError
from prov_worker.globus.answers import Answer, read_message

_log = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
#: How long a wait for messages may last, so that an end is seen.
_LOOK_S = 0.2
#: Messages that may be with us and not yet acknowledged.
_PREFETCH = 2000


class Results(threading.Thread):
    """A thread that hands on what comes back of tasks."""

    def __init__(self) -> None:
        super().__init__(name="prov-worker-results", daemon=True)
        self._begun = threading.Lock()

    def begin(self) -> None:
        """Start the thread, if it has not been started."""
        if self._begun.acquire(blocking=False):
            self.start()


class ResultQueue(Results):
    """Thread that hands on what comes back.

    Args:
        address: returns the broker's URL and the queue's name; asked at each connection, as credentials expire.
        fetch: returns how tasks ended, by their ids: an endpoint of high assurance sends its results by that way alone.
        open_tasks: returns the tasks that have not ended, as far as is known; how they did is asked at each connection.
        deliver: takes results, in the order in which they came; they are acknowledged when it returns. Called by this
            thread alone.
    """

    def __init__(
        self,
        address: Callable[[], tuple[str, str]],
        fetch: Callable[[Sequence[str]], Iterable[Answer]],
        open_tasks: Callable[[], Sequence[str]],
        deliver: Callable[[Sequence[Answer]], None],
    ) -> None:
        super().__init__()
        self._address = address
        self._fetch = fetch
        self._open_tasks = open_tasks
        self._deliver = deliver
        self._stopped = threading.Event()
        self.connected = threading.Event()

    def run(self) -> None:
        """Consume until stopped."""
        import pika.exceptions

        pause_s = _FIRST_PAUSE_S
        while not self._stopped.is_set():
            try:
                self._consume()
            except (pika.exceptions.AMQPError, ProvWorkerError, OSError) as error:
                _log.info("results: %s: %s; connecting again", type(error).__name__, error)
            except Exception:
                _log.exception("results: connecting again")
            if self.connected.is_set():
                pause_s = _FIRST_PAUSE_S
                self.connected.clear()
            self._stopped.wait(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def stop(self) -> None:
        """End the thread, and wait for it."""
        self._stopped.set()
        if self.is_alive() and threading.current_thread() is not self:
            self.join(30)

    def _consume(self) -> None:
        import pika

        url, queue = self._address()
        connection = pika.BlockingConnection(pika.URLParameters(url))
        try:
            channel = connection.channel()
            channel.basic_qos(prefetch_count=_PREFETCH)
            messages: list[tuple[int, bool, bytes]] = []

            def keep(_channel: Any, method: Any, properties: Any, body: bytes) -> None:
                elsewhere = bool((properties.headers or {}).get("high_assurance"))
                messages.append((method.delivery_tag, elsewhere, body))

            channel.basic_consume(queue, keep)
            self.connected.set()
            # What ended before this queue was there, or was acknowledged by a program that then ended.
            self._deliver(list(self._fetch(self._open_tasks())))
            while not self._stopped.is_set():
                connection.process_data_events(time_limit=_LOOK_S)
                if messages:
                    answers = [(elsewhere, answer) for _, elsewhere, body in messages if (answer := _read(body))]
                    ids = [answer.task_id for elsewhere, answer in answers if elsewhere]
                    self._deliver([*(answer for elsewhere, answer in answers if not elsewhere), *self._fetch(ids)])
                    channel.basic_ack(messages[-1][0], multiple=True)
                    messages.clear()
        finally:
            if connection.is_open:
                connection.close()


def _read(body: bytes) -> Answer | None:
    """Return a result; what is none is passed over: sent back, it would come again for ever."""
    try:
        return read_message(body)
    except ValueError as error:
        _log.warning("results: a message is passed over: %s", error)
        return None
