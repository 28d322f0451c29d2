"""Messages on their way to the broker, each of which is confirmed, or refused for good, on its own.

A refusal closes the channel for all messages that are under way on it, and names none. So each of them is then sent
alone; one that is refused twice is given up with the broker's reason, and the others go on.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from prov_worker.localservice.broker import Broker
from prov_worker.localservice.channel import Message, Refusal, RefusedError
from prov_worker.localservice.queues import Queues

#: Refusals after which a message is given up: the first one may be for what passes, such as a queue that was gone.
_REFUSALS = 2
#: Bytes that may be under way: a broker that is slow, or a row of large messages, must not fill the memory.
_ROOM_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Parcel:
    """One message: the number that the durable state knows it by, its queue, and what to publish."""

    seq: int
    queue: str
    message: Message


class Outbox:
    """Those of one kind.

    Args:
        broker: that they go to.
        queues: of the broker.
        confirmed: called with the numbers of messages that the broker has.
        given_up: called with the number of one that it refuses, and the reason.
        released: called with messages that must be sent again by whoever sent them: the broker went away.
    """

    def __init__(
        self,
        broker: Broker,
        queues: Queues,
        *,
        confirmed: Callable[[Sequence[int]], None],
        given_up: Callable[[int, str], None],
        released: Callable[[Sequence[Parcel]], None],
    ) -> None:
        self._broker = broker
        self._queues = queues
        self._confirmed = confirmed
        self._given_up = given_up
        self._released = released
        self._guard = threading.RLock()
        self._under_way: dict[int, Parcel] = {}
        self._bytes = 0
        self._refusals: dict[int, int] = {}
        self._alone: deque[Parcel] = deque()
        self._trying = False
        #: Messages that were confirmed or given up so far.
        self.progress = 0

    @property
    def full(self) -> bool:
        """Whether more should wait until some of what is under way has arrived."""
        return self._bytes >= _ROOM_BYTES

    def holds(self, seq: int) -> bool:
        """Return whether a message is under way."""
        return seq in self._under_way

    def sends_to(self, queue: str) -> bool:
        """Return whether a message to a queue is under way."""
        with self._guard:
            return any(parcel.queue == queue for parcel in self._under_way.values())

    def send(self, parcels: Iterable[Parcel]) -> None:
        """Send messages; those that are under way already are left out."""
        with self._guard:
            fresh = [parcel for parcel in parcels if parcel.seq not in self._under_way]
            for parcel in fresh:
                self._under_way[parcel.seq] = parcel
                self._bytes += len(parcel.message.body)
        if fresh:
            self._publish(fresh, alone=False)

    def noted(self, numbers: Iterable[int]) -> None:
        """Forget what the durable state has noted."""
        with self._guard:
            for seq in numbers:
                parcel = self._under_way.pop(seq, None)
                self._refusals.pop(seq, None)
                if parcel is not None:
                    self._bytes -= len(parcel.message.body)

    # On the broker's thread, but for the first step ------------------------------------------------------------------

    def _publish(self, parcels: list[Parcel], *, alone: bool) -> None:
        def declared(answer: Future[None]) -> None:
            if answer.exception() is not None:
                self._outcome(answer.exception(), {}, parcels, alone)
                return
            future = self._broker.publish([parcel.message for parcel in parcels], alone=alone)
            future.add_done_callback(published)

        def published(answer: Future[dict[int, Refusal]]) -> None:
            error = answer.exception()
            self._outcome(error, {} if error else answer.result(), parcels, alone)

        self._queues.declare(parcel.queue for parcel in parcels).add_done_callback(declared)

    def _outcome(
        self, error: BaseException | None, refusals: dict[int, Refusal], parcels: list[Parcel], alone: bool
    ) -> None:
        if error is None:
            arrived = [parcel.seq for place, parcel in enumerate(parcels) if place not in refusals]
            self.progress += len(arrived)
            if arrived:
                self._confirmed(arrived)
            self._queues.forget(parcels[place].queue for place, refusal in refusals.items() if refusal.no_queue)
            for place, refusal in refusals.items():
                self._refuse(parcels[place], refusal.reason)
        elif isinstance(error, RefusedError):
            if len(parcels) == 1:
                self._refuse(parcels[0], str(error))
            else:
                self._suspect(parcels)
        else:
            self._release([*parcels, *(self._all_alone() if alone else ())])
        if alone:
            with self._guard:
                self._trying = False
            self._try_next()

    def _all_alone(self) -> list[Parcel]:
        with self._guard:
            waiting = list(self._alone)
            self._alone.clear()
        return waiting

    def _release(self, parcels: Sequence[Parcel]) -> None:
        self._released(parcels)
        self.noted(parcel.seq for parcel in parcels)

    def _refuse(self, parcel: Parcel, reason: str) -> None:
        with self._guard:
            refusals = self._refusals[parcel.seq] = self._refusals.get(parcel.seq, 0) + 1
        if refusals < _REFUSALS:
            self._suspect([parcel])
            return
        self.progress += 1
        self._given_up(parcel.seq, reason)

    def _suspect(self, parcels: Iterable[Parcel]) -> None:
        with self._guard:
            self._alone.extend(parcels)
        self._try_next()

    def _try_next(self) -> None:
        """Send the next of those that go alone, if none is under way."""
        with self._guard:
            if self._trying or not self._alone:
                return
            self._trying = True
            parcel = self._alone.popleft()
        self._publish([parcel], alone=True)
