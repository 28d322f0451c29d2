"""The broker's queues, as far as they are known to be there."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from functools import partial
from typing import Any

from prov_worker.localservice.broker import Broker
from prov_worker.localservice.channel import BrokerDownError, RefusedError, settle

ANSWER_S = 10.0
#: A request that fails because another one closed their channel is made again.
_TRIES = 3


class Queues:
    """Declares queues, each once for a connection of the broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._guard = threading.Lock()
        self._declared: set[str] = set()

    def clear(self) -> None:
        """Forget all: the broker may have lost its queues."""
        with self._guard:
            self._declared.clear()

    def forget(self, names: Iterable[str]) -> None:
        """Forget some: they are not there, or will not be."""
        with self._guard:
            self._declared.difference_update(names)

    def declare(self, names: Iterable[str]) -> Future[None]:
        """Make sure that queues exist; the future fails with the error of the first that cannot be declared."""
        with self._guard:
            missing = [name for name in dict.fromkeys(names) if name not in self._declared]
        done: Future[None] = Future()
        if not missing:
            settle(done)
            return done
        left = len(missing)

        def answered(name: str, answer: Future[Any]) -> None:
            nonlocal left
            error = answer.exception()
            with self._guard:
                left -= 1
                if error is None:
                    self._declared.add(name)
                last = left == 0
            if isinstance(error, Exception):
                settle(done, error=error)
            elif last:
                settle(done)

        for name in missing:
            self._broker.declare_queue(name).add_done_callback(partial(answered, name))
        return done

    def ensure(self, names: Iterable[str], wait_s: float = ANSWER_S) -> None:
        """Make sure that queues exist before their names are handed out.

        Raises:
            BrokerDownError: the broker does not answer, or refuses.
        """
        with self._guard:
            if all(name in self._declared for name in names):
                return
        if not self._broker.wait_up(wait_s):
            raise BrokerDownError(self._broker.last_error)
        for attempt in range(_TRIES):
            try:
                wait_for(self.declare(names))
                return
            except RefusedError:
                if attempt == _TRIES - 1:
                    raise

    def drop(self, names: Iterable[str]) -> None:
        """Delete queues that nobody needs any more.

        Raises:
            BrokerDownError: the broker does not answer.
        """
        names = list(names)
        self.forget(names)
        for future in [self._broker.delete_queue(name) for name in names]:
            wait_for(future)

    def purge(self, name: str) -> None:
        """Drop what waits in a queue.

        Raises:
            BrokerDownError: the broker does not answer.
        """
        wait_for(self._broker.purge_queue(name))


def wait_for(future: Future[Any]) -> Any:
    """Wait for an answer of the broker.

    Raises:
        BrokerDownError: it does not come within ten seconds, or is an error.
    """
    try:
        return future.result(ANSWER_S)
    except FutureTimeout as error:
        raise BrokerDownError("the broker does not answer") from error
