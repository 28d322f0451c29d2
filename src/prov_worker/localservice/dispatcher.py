"""Outgoing messages: tasks, results and commands.

The durable state says what must be published; the broker's confirmation, noted there, ends it. A crash between the two
publishes a message twice: tasks are delivered at least once, and the SDK ignores a second result.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future

from prov_worker.localservice import messages, topology
from prov_worker.localservice.broker import Broker, persistent
from prov_worker.localservice.channel import BrokerDownError, Message, Refusal
from prov_worker.localservice.identities import Identities
from prov_worker.localservice.metrics import Metrics
from prov_worker.localservice.outbox import Outbox, Parcel
from prov_worker.localservice.queues import ANSWER_S, Queues
from prov_worker.localservice.records import Forward, Outgoing, UserEndpoint
from prov_worker.localservice.storage import Storage

_log = logging.getLogger(__name__)

#: Endpoints ignore commands older than 180 s, and report each as a failed start.
_COMMAND_EXPIRES_MS = 150_000
#: One command tells a core endpoint about all submissions of this time.
_COMMAND_SPACING_S = 2.0
#: A task is sent again so often: one that ends its user endpoint each time would be for ever. RabbitMQ 4 drops a
#: message of a quorum queue after 20 deliveries; restarts of a user endpoint are half a minute apart.
MOST_RESENT = 50
_PORTION = 500
_PORTION_BYTES = 16 * 1024 * 1024


class Dispatcher:
    """Publishes what the state says must be published.

    Args:
        confirmed: called with what the broker has confirmed: sequence numbers of tasks, then of results.
        task_failed: called with the sequence number of a task that is not sent any more, a code, and the reason.
        result_refused: called with that of a result that the broker does not take, and the reason.
        url_for: the AMQP URL that is handed to an identity.
    """

    def __init__(
        self,
        storage: Storage,
        broker: Broker,
        identities: Identities,
        metrics: Metrics,
        *,
        confirmed: Callable[[Sequence[int], Sequence[int]], None],
        task_failed: Callable[[int, str, str], None],
        result_refused: Callable[[int, str], None],
        url_for: Callable[[str], str],
    ) -> None:
        self._storage = storage
        self._broker = broker
        self._identities = identities
        self._metrics = metrics
        self._task_failed = task_failed
        self._url_for = url_for
        self._guard = threading.RLock()
        self.queues = Queues(broker)
        self._tasks = Outbox(
            broker,
            self.queues,
            confirmed=lambda numbers: confirmed(numbers, ()),
            given_up=lambda seq, reason: task_failed(seq, "TASK_REFUSED", f"the message broker refused it: {reason}"),
            released=self._tasks_released,
        )
        self._results = Outbox(
            broker,
            self.queues,
            confirmed=lambda numbers: confirmed((), numbers),
            given_up=result_refused,
            released=lambda _parcels: None,
        )
        #: Up to where a user endpoint's tasks have been handed to the broker.
        self._handed: dict[str, int] = {}
        #: User endpoints whose queue is being refilled: nothing else is published there meanwhile.
        self._held: set[str] = set()
        self._commanded: dict[str, float] = {}
        #: Whether there was more to send than may be under way.
        self._more_tasks = self._more_results = False

    @property
    def progress(self) -> int:
        """How many messages the broker has taken, or refused for good, so far."""
        return self._tasks.progress + self._results.progress

    def broker_lost(self) -> None:
        """Forget what was known about the broker: it may have lost its queues."""
        self.queues.clear()
        with self._guard:
            self._handed.clear()

    # Tasks -----------------------------------------------------------------------------------------------------------

    def publish_tasks(self, user_endpoint: str | None = None) -> None:
        """Publish accepted tasks, of one user endpoint or of all, that are not under way already."""
        with self._guard:
            if user_endpoint in self._held:
                return
            after = self._handed.get(user_endpoint, 0) if user_endpoint else 0
            while self._broker.up:
                if self._tasks.full:
                    self._more_tasks = True
                    return
                tasks = self._storage.to_publish(user_endpoint, _PORTION, after, _PORTION_BYTES)
                if not tasks:
                    return
                after = tasks[-1].seq
                self._tasks.send(
                    self._task(each)
                    for each in tasks
                    if not self._tasks.holds(each.seq) and each.user_endpoint not in self._held
                )
                if user_endpoint:
                    self._handed[user_endpoint] = after

    def _task(self, task: Outgoing) -> Parcel:
        queue = topology.tasks_queue(task.owner, task.user_endpoint)
        properties = persistent(headers=messages.task_headers(task))
        return Parcel(task.seq, queue, Message("", queue, messages.task(task), properties))

    def _tasks_released(self, parcels: Sequence[Parcel]) -> None:
        with self._guard:
            self._handed.clear()

    def noted(self, tasks: Iterable[int], results: Iterable[int]) -> None:
        """Count confirmations that the state has noted."""
        self._tasks.noted(tasks)
        self._results.noted(results)
        with self._guard:
            more_tasks, more_results = self._more_tasks, self._more_results
            self._more_tasks = self._more_results = False
        if more_tasks:
            self.publish_tasks()
        if more_results:
            self.forward_waiting()

    def redeliver(self, user_endpoint: UserEndpoint, *, purge: bool) -> int:
        """Publish every unfinished task of a user endpoint again; tells how many.

        A task that has been sent too often fails.

        Args:
            user_endpoint: whose tasks.
            purge: first drop what waits in its queue: for one that does not listen.

        Raises:
            BrokerDownError: the broker does not answer; nothing is lost, the tasks stay to be published.
        """
        queue = topology.tasks_queue(user_endpoint.owner, user_endpoint.id)
        with self._guard:
            self._held.add(user_endpoint.id)
        try:
            deadline = time.monotonic() + ANSWER_S
            while self._tasks.sends_to(queue):
                # Confirmations must not arrive after the tasks are marked as unpublished.
                if time.monotonic() > deadline or not self._broker.up:
                    raise BrokerDownError("the broker does not confirm")
                time.sleep(0.02)
            requeued = self._storage.requeue(user_endpoint.id, MOST_RESENT)
            if purge:
                self.queues.purge(queue)
        finally:
            with self._guard:
                self._held.discard(user_endpoint.id)
                self._handed.pop(user_endpoint.id, None)
        for seq in requeued.given_up:
            reason = f"the task was sent {MOST_RESENT + 1} times, and its user endpoint was lost each time"
            self._task_failed(seq, "TASK_GIVEN_UP", reason)
        self._metrics.add("prov_service_tasks_redelivered_total", requeued.number)
        self.publish_tasks(user_endpoint.id)
        return requeued.number

    # Results ---------------------------------------------------------------------------------------------------------

    def forward(self, results: Sequence[Forward]) -> None:
        """Publish results to the queues of their task groups."""
        if self._results.full:
            with self._guard:
                self._more_results = True
            return
        self._results.send(self._result(each) for each in results)

    def _result(self, result: Forward) -> Parcel:
        queue = topology.group_queue(result.owner, result.group)
        return Parcel(result.seq, queue, Message("", queue, result.message, persistent(headers={})))

    def forward_waiting(self) -> None:
        """Publish all results that are not known to be in their queue and not under way."""
        after = 0
        while self._broker.up:
            if self._results.full:
                with self._guard:
                    self._more_results = True
                return
            results = self._storage.to_forward(_PORTION, after, _PORTION_BYTES)
            if not results:
                return
            after = results[-1].seq
            self.forward(results)

    # Commands --------------------------------------------------------------------------------------------------------

    def command_start(self, user_endpoint: UserEndpoint, *, at_once: bool = False) -> None:
        """Tell the core endpoint to start a user endpoint, or to keep it; at most every two seconds, or ``at_once``."""
        now = time.time()
        with self._guard:
            if not at_once and now - self._commanded.get(user_endpoint.id, 0) < _COMMAND_SPACING_S:
                return
            self._commanded[user_endpoint.id] = now
        identity = self._identities.get(user_endpoint.owner)
        if identity is None:
            _log.warning("endpoint %s: its owner is not an identity of this service any more", user_endpoint.core)
            return
        command = {
            "command": "cmd_start_endpoint",
            "args": [],
            "kwargs": {
                "name": f"uep.{user_endpoint.core}.{user_endpoint.id}",
                "user_opts": user_endpoint.options,
                "user_runtime": user_endpoint.runtime,
                "amqp_creds": topology.credentials(
                    self._url_for(user_endpoint.owner), user_endpoint.owner, user_endpoint.id
                ),
            },
            "globus_effective_identity": identity.client_id,
            "globus_username": identity.username,
            "globus_identity_set": [identity.as_set_member()],
        }
        self._storage.mark_started(user_endpoint.id, now)
        self._metrics.add("prov_service_start_commands_total")
        queue = topology.commands_queue(user_endpoint.owner, user_endpoint.core)
        properties = persistent(expires_ms=_COMMAND_EXPIRES_MS)
        answer = self._broker.publish([Message("", queue, json.dumps(command).encode(), properties)])

        def answered(done: Future[dict[int, Refusal]]) -> None:
            reason = done.exception() or next(iter(done.result().values()), None)
            if reason is not None:
                # The supervisor says it again, as long as there are tasks.
                _log.warning("user endpoint %s: the command to start it did not arrive: %s", user_endpoint.id, reason)

        answer.add_done_callback(answered)

    def purge_commands(self, owner: str, core: str) -> None:
        """Drop commands that a core endpoint has not taken: their age would fail them.

        Raises:
            BrokerDownError: the broker does not answer.
        """
        self.queues.purge(topology.commands_queue(owner, core))
