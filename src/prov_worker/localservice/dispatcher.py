"""What goes out: tasks to user endpoints, results to the SDK, commands to core endpoints.

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
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any

from prov_worker.localservice import messages, topology
from prov_worker.localservice.broker import Broker, BrokerDownError, Message, persistent
from prov_worker.localservice.identities import Identities
from prov_worker.localservice.metrics import Metrics
from prov_worker.localservice.records import Forward, Outgoing, UserEndpoint
from prov_worker.localservice.storage import Storage

_log = logging.getLogger(__name__)

#: Endpoints ignore commands older than 180 s, and report each as a failed start.
_COMMAND_EXPIRES_MS = 150_000
#: One command tells a core endpoint about all submissions of this time.
_COMMAND_SPACING_S = 2.0
_ANSWER_S = 10.0
_PORTION = 500


class Dispatcher:
    """Publishes what the state says must be published.

    Args:
        confirmed: called with what the broker has confirmed: sequence numbers of tasks, then of results.
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
        url_for: Callable[[str], str],
    ) -> None:
        self._storage = storage
        self._broker = broker
        self._identities = identities
        self._metrics = metrics
        self._confirmed = confirmed
        self._url_for = url_for
        self._guard = threading.RLock()
        self._tasks_under_way: dict[int, str] = {}
        self._results_under_way: set[int] = set()
        #: Up to where a user endpoint's tasks have been handed to the broker.
        self._handed: dict[str, int] = {}
        #: User endpoints whose queue is being refilled: nothing else is published there meanwhile.
        self._held: set[str] = set()
        self._declared: set[str] = set()
        self._commanded: dict[str, float] = {}

    # Queues ----------------------------------------------------------------------------------------------------------

    def ensure_queues(self, names: Iterable[str], wait_s: float = _ANSWER_S) -> None:
        """Make sure that queues exist before their names are handed out.

        Raises:
            BrokerDownError: the broker does not answer.
        """
        missing = [name for name in names if name not in self._declared]
        if not missing:
            return
        if not self._broker.wait_up(wait_s):
            raise BrokerDownError(self._broker.last_error)
        for name, future in [(name, self._broker.declare_queue(name)) for name in missing]:
            self._wait(future)
            with self._guard:
                self._declared.add(name)

    def drop_queues(self, names: Sequence[str]) -> None:
        """Delete queues that nobody needs any more."""
        with self._guard:
            self._declared.difference_update(names)
        for future in [self._broker.delete_queue(name) for name in names]:
            self._wait(future)

    def _wait(self, future: Future[Any]) -> None:
        try:
            future.result(_ANSWER_S)
        except FutureTimeout as error:
            raise BrokerDownError("the broker does not answer") from error

    def broker_lost(self) -> None:
        """Forget what was known about the broker: it may have lost its queues."""
        with self._guard:
            self._declared.clear()
            self._handed.clear()

    # Tasks -----------------------------------------------------------------------------------------------------------

    def publish_tasks(self, user_endpoint: str | None = None) -> None:
        """Publish accepted tasks, of one user endpoint or of all, that are not under way already."""
        with self._guard:
            if user_endpoint in self._held:
                return
            after = self._handed.get(user_endpoint, 0) if user_endpoint else 0
            while self._broker.up:
                tasks = self._storage.to_publish(user_endpoint, _PORTION, after)
                if not tasks:
                    return
                after = tasks[-1].seq
                fresh = [
                    each
                    for each in tasks
                    if each.seq not in self._tasks_under_way and each.user_endpoint not in self._held
                ]
                self._send_tasks(fresh)
                if user_endpoint:
                    self._handed[user_endpoint] = after

    def _send_tasks(self, tasks: list[Outgoing]) -> None:
        if not tasks:
            return
        queues = {topology.tasks_queue(each.owner, each.user_endpoint) for each in tasks} - self._declared
        for queue in queues:
            # Answered in order with the messages below, so that nothing has to wait for it.
            self._broker.declare_queue(queue)
        self._tasks_under_way.update((each.seq, each.user_endpoint) for each in tasks)
        future = self._broker.publish(
            [
                Message(
                    "",
                    topology.tasks_queue(each.owner, each.user_endpoint),
                    messages.task(each),
                    persistent(headers=messages.task_headers(each)),
                )
                for each in tasks
            ]
        )
        sequence = [each.seq for each in tasks]
        endpoints = {each.user_endpoint for each in tasks}
        future.add_done_callback(lambda done: self._tasks_done(done, sequence, endpoints))

    def _tasks_done(self, future: Future[None], sequence: list[int], endpoints: set[str]) -> None:
        if future.exception() is None:
            self._confirmed(sequence, ())
            return
        with self._guard:
            for seq in sequence:
                self._tasks_under_way.pop(seq, None)
            for endpoint in endpoints:
                self._handed.pop(endpoint, None)

    def noted(self, tasks: Iterable[int], results: Iterable[int]) -> None:
        """The state has noted these confirmations."""
        with self._guard:
            for seq in tasks:
                self._tasks_under_way.pop(seq, None)
            self._results_under_way.difference_update(results)

    def redeliver(self, user_endpoint: UserEndpoint, *, purge: bool) -> int:
        """Publish every unfinished task of a user endpoint again; tells how many.

        Args:
            user_endpoint: whose tasks.
            purge: first drop what waits in its queue: for one that does not listen.

        Raises:
            BrokerDownError: the broker does not answer; nothing is lost, the tasks stay to be published.
        """
        with self._guard:
            self._held.add(user_endpoint.id)
        try:
            deadline = time.monotonic() + _ANSWER_S
            while user_endpoint.id in self._tasks_under_way.copy().values():
                # Confirmations must not arrive after the tasks are marked as unpublished.
                if time.monotonic() > deadline or not self._broker.up:
                    raise BrokerDownError("the broker does not confirm")
                time.sleep(0.02)
            number = self._storage.requeue(user_endpoint.id)
            if purge:
                queue = topology.tasks_queue(user_endpoint.owner, user_endpoint.id)
                self._wait(self._broker.purge_queue(queue))
        finally:
            with self._guard:
                self._held.discard(user_endpoint.id)
                self._handed.pop(user_endpoint.id, None)
        self._metrics.add("prov_service_tasks_redelivered_total", number)
        self.publish_tasks(user_endpoint.id)
        return number

    # Results ---------------------------------------------------------------------------------------------------------

    def forward(self, results: Sequence[Forward]) -> None:
        """Publish results to the queues of their task groups."""
        with self._guard:
            fresh = [each for each in results if each.seq not in self._results_under_way]
            self._results_under_way.update(each.seq for each in fresh)
        if not fresh:
            return
        future = self._broker.publish(
            [
                Message("", topology.group_queue(each.owner, each.group), each.message, persistent(headers={}))
                for each in fresh
            ]
        )
        sequence = [each.seq for each in fresh]
        future.add_done_callback(lambda done: self._results_done(done, sequence))

    def _results_done(self, future: Future[None], sequence: list[int]) -> None:
        if future.exception() is None:
            self._confirmed((), sequence)
            return
        with self._guard:
            self._results_under_way.difference_update(sequence)

    def forward_waiting(self) -> None:
        """Publish all results that are not known to be in their queue and not under way."""
        after = 0
        while self._broker.up:
            results = self._storage.to_forward(_PORTION, after)
            if not results:
                return
            after = results[-1].seq
            for queue in {topology.group_queue(each.owner, each.group) for each in results} - self._declared:
                self._broker.declare_queue(queue)
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
            _log.warning("endpoint %s: its owner is no identity of this service any more", user_endpoint.core)
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
        self._broker.publish(
            [
                Message(
                    "",
                    topology.commands_queue(user_endpoint.owner, user_endpoint.core),
                    json.dumps(command).encode(),
                    persistent(expires_ms=_COMMAND_EXPIRES_MS),
                )
            ]
        )

    def purge_commands(self, owner: str, core: str) -> None:
        """Drop commands that a core endpoint has not taken: their age would fail them.

        Raises:
            BrokerDownError: the broker does not answer.
        """
        self._wait(self._broker.purge_queue(topology.commands_queue(owner, core)))
