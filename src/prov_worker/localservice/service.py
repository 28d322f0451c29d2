"""The parts of the service, put together."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio

from prov_worker.live.agents import Remark
from prov_worker.localservice import messages, topology
from prov_worker.localservice.accounts import Accounts
from prov_worker.localservice.apierrors import ApiError, not_found
from prov_worker.localservice.broker import Broker
from prov_worker.localservice.channel import BrokerDownError
from prov_worker.localservice.config import Config
from prov_worker.localservice.dispatcher import Dispatcher
from prov_worker.localservice.flows.rehearsal import Rehearsal
from prov_worker.localservice.identities import Identities, Identity
from prov_worker.localservice.ingest import Ingest
from prov_worker.localservice.live import LiveTasks, of_identity
from prov_worker.localservice.logins import Logins
from prov_worker.localservice.metrics import Metrics
from prov_worker.localservice.records import Endpoint, Function, Incoming, NewTask, Result, Submission, UserEndpoint
from prov_worker.localservice.sqlite.rows import dump
from prov_worker.localservice.storage import Storage
from prov_worker.localservice.supervisor import Supervisor
from prov_worker.localservice.tokens import Signer
from prov_worker.localservice.transfers import collections, rsync
from prov_worker.localservice.transfers.collections import Collections

#: Of a message around a task or a result.
_ENVELOPE_BYTES = 64 * 1024
#: Options of a user endpoint with its client's description of itself: a command to a daemon carries them.
_OPTIONS_LIMIT_BYTES = 256 * 1024
#: What a daemon says of its endpoint, with its templates; what is said of a function.
_REGISTRATION_LIMIT_BYTES = 1024 * 1024
#: What else a task says to its engine: it must go into one frame of the broker.
_HEADERS_LIMIT_BYTES = 64 * 1024


class Service:
    """What the routes act upon; every method takes the identity that asks and shows it nothing of another's.

    Raises:
        ApiError: from all of them, when the answer is an error.
    """

    def __init__(self, config: Config, storage: Storage, identities: Identities) -> None:
        self.config = config
        self.storage = storage
        self.identities = identities
        self.metrics = Metrics()
        self.live = LiveTasks(config.crate_dirs)
        key = storage.signing_key()
        self.signer = Signer(key, identities)
        self.accounts = Accounts(
            config.client_amqp_url, config.management_url(len(identities)), key, identities, config.quota.channels
        )
        self.ingest = Ingest(storage, self.metrics, config.result_limit_bytes, config.quota.kept_bytes)
        largest = max(config.task_limit_bytes, config.result_limit_bytes) + _ENVELOPE_BYTES
        self.broker = Broker(config.amqp_url, self.ingest.put, self._broker_up, largest)
        self.dispatcher = Dispatcher(
            storage,
            self.broker,
            identities,
            self.metrics,
            confirmed=self.ingest.confirm,
            task_failed=self.ingest.task_failed,
            result_refused=self.ingest.result_refused,
            url_for=self.accounts.url_for,
        )
        self.supervisor = Supervisor(
            storage,
            self.broker,
            self.dispatcher,
            self.accounts,
            self.metrics,
            retain_s=config.retain_s,
            tick_s=config.tick_s,
            stall_s=config.stall_s,
        )
        #: Threads for monitors.
        self.monitors = anyio.CapacityLimiter(2)
        self.logins = Logins(identities)
        self.rehearsal: Rehearsal | None = None
        if config.flows:
            places = collections.load(config.collections) if config.collections else None
            if places is not None:
                rsync.need()
            self.rehearsal = Rehearsal(self, storage, places or Collections(), config.transfer_limit_kib)
        self.started = time.time()

    def start(self) -> None:
        """Begin to work; the broker may come later."""
        self.ingest.start(self.dispatcher, self.broker)
        self.broker.start()
        self.supervisor.start()
        if self.rehearsal is not None:
            self.rehearsal.start()

    def stop(self) -> None:
        """End, with everything that has come stored."""
        if self.rehearsal is not None:
            self.rehearsal.stop()
        self.supervisor.stop()
        self.broker.stop()
        self.ingest.stop()
        self.storage.close()

    @property
    def stalled(self) -> str:
        """Why nothing goes out or comes in although the broker is there; empty if all is well."""
        return self.supervisor.stalled if self.ingest.alive else "nothing that comes is taken in"

    def _broker_up(self) -> None:
        self.dispatcher.broker_lost()
        self.accounts.broker_lost()
        self.supervisor.wake()

    def live_remarks(self, owner: str) -> tuple[list[tuple[Path, Remark]], list[str]]:
        """Return what agents say of the tasks of an identity, with their crate directory, and what cannot be read."""
        alone = len(self.identities) == 1
        remarks, problems = self.live.latest()
        return of_identity(remarks, lambda ids: self.storage.tasks(ids, owner), alone=alone), problems if alone else []

    def amqp_url(self, owner: str) -> str:
        """Return the AMQP URL for an identity."""
        return self.accounts.url_for(owner)

    def _ensure_queues(self, names: Sequence[str]) -> None:
        try:
            self.dispatcher.queues.ensure(names)
            self.accounts.ensure()
        except BrokerDownError as error:
            reason = "the message broker cannot be reached; try again"
            if self.broker.up and not self.accounts.ready:
                reason = "no accounts at the message broker: its management API cannot be used; the log tells why"
            raise ApiError(503, reason, headers={"Retry-After": "2"}) from error

    # Endpoints -------------------------------------------------------------------------------------------------------

    def endpoint(self, identity: Identity, endpoint_id: str) -> Endpoint:
        """Return an endpoint of the identity."""
        endpoint = self.storage.endpoint(endpoint_id)
        if endpoint is None or endpoint.owner != identity.client_id:
            raise not_found("endpoint", endpoint_id)
        return endpoint

    def register_endpoint(
        self, identity: Identity, endpoint_id: str | None, name: str, registration: dict[str, Any]
    ) -> dict[str, Any]:
        """Register an endpoint, or one again; tells it where its commands are.

        An id that is unknown here is taken over from the daemon that brings it: it has survived a loss of this state.
        """
        if endpoint_id is None:
            endpoint_id = str(uuid.uuid4())
        else:
            registered = self.storage.endpoint(endpoint_id)
            if registered is not None and registered.owner != identity.client_id:
                raise not_found("endpoint", endpoint_id)
        _check_size("the registration", registration, _REGISTRATION_LIMIT_BYTES)
        if self.storage.endpoint(endpoint_id) is None:
            self.config.quota.check(self.storage.usage(identity.client_id), queues=1)
        commands = topology.commands_queue(identity.client_id, endpoint_id)
        self._ensure_queues([commands])
        try:
            self.dispatcher.purge_commands(identity.client_id, endpoint_id)
        except BrokerDownError as error:
            raise ApiError(503, "the message broker cannot be reached; try again") from error
        self.storage.save_endpoint(Endpoint(endpoint_id, identity.client_id, name, time.time(), registration))
        # Whatever ran under the earlier daemon is gone or going: its tasks need not wait for signs of it.
        for user_endpoint in self.storage.user_endpoints(endpoint_id):
            self.storage.mark_started(user_endpoint.id, 0)
        return topology.registration_info(self.amqp_url(identity.client_id), identity.client_id, endpoint_id)

    def delete_endpoint(self, identity: Identity, endpoint_id: str) -> None:
        """Forget an endpoint; its open tasks fail."""
        endpoint = self.endpoint(identity, endpoint_id)
        queues = [topology.commands_queue(endpoint.owner, endpoint.id)]
        failures = []
        for user_endpoint in self.storage.user_endpoints(endpoint_id):
            queues.append(topology.tasks_queue(endpoint.owner, user_endpoint.id))
            for task in self.storage.unfinished(user_endpoint.id, time.time()):
                message = messages.failure(task, "ENDPOINT_DELETED", f"Endpoint {endpoint_id} was deleted")
                failures.append(Result(task, endpoint.owner, user_endpoint.id, True, message))
        stored = self.storage.apply(Incoming(failures), time.time())
        self.metrics.finished(stored, len(failures))
        self.storage.delete_endpoint(endpoint_id)
        self.dispatcher.forward(stored.forwards)
        try:
            self.dispatcher.queues.drop(queues)
        except BrokerDownError:
            # Queues without a sender do no harm.
            pass

    def stop_endpoint(self, identity: Identity, endpoint_id: str) -> None:
        """Make a daemon stop from afar: its command queue goes, and with it its reason to live."""
        endpoint = self.endpoint(identity, endpoint_id)
        self.storage.lock_endpoint(endpoint_id)
        try:
            self.dispatcher.queues.drop([topology.commands_queue(endpoint.owner, endpoint.id)])
        except BrokerDownError as error:
            raise ApiError(503, "the message broker cannot be reached; try again") from error

    # Functions -------------------------------------------------------------------------------------------------------

    def function(self, identity: Identity, function_id: str) -> Function:
        """Return a function of the identity, or one that its owner has made public."""
        function = self.storage.function(function_id)
        if function is None or not (function.public or function.owner == identity.client_id):
            raise not_found("function", function_id)
        return function

    def register_function(self, identity: Identity, function: Function) -> None:
        """Keep a function of the identity."""
        size, limit = messages.task_bytes(function.buffer, ""), self._task_limit
        if size > limit:
            raise ApiError(413, f"a task of this function has {size} bytes at least; at most {limit} are taken")
        _check_size("description and meta", [function.description, function.meta], _REGISTRATION_LIMIT_BYTES)
        usage = self.storage.usage(identity.client_id)
        self.config.quota.check(usage, functions=1, kept_bytes=len(function.buffer))
        self.storage.save_function(function)

    # Tasks -----------------------------------------------------------------------------------------------------------

    def submit(
        self,
        identity: Identity,
        endpoint_id: str,
        calls: dict[str, list[str]],
        *,
        group: str | None,
        queue: bool,
        options: dict[str, Any],
        runtime: dict[str, Any],
        resource_specification: dict[str, Any] | None,
        result_serializers: list[str] | None,
    ) -> tuple[str, dict[str, list[str]]]:
        """Accept tasks; returns their group and, by function, their ids in the order of the payloads."""
        owner = identity.client_id
        number = sum(map(len, calls.values()))
        if number > self.config.task_limit:
            raise ApiError(413, f"{number} tasks in one submission; at most {self.config.task_limit} are taken")
        endpoint = self.endpoint(identity, endpoint_id)
        _check_size("user_endpoint_config and user_runtime", [options, runtime], _OPTIONS_LIMIT_BYTES)
        specification = [resource_specification, result_serializers]
        _check_size("resource_specification and result_serializers", specification, _HEADERS_LIMIT_BYTES)
        sizes: dict[str, list[int]] = {}
        for function_id, payloads in calls.items():
            sizes[function_id] = self._task_sizes(self.function(identity, function_id), payloads)
            if endpoint.allowed_functions is not None and function_id not in endpoint.allowed_functions:
                reason = f"Function {function_id} not permitted on endpoint {endpoint_id}"
                raise ApiError(403, reason, "FUNCTION_NOT_PERMITTED")
        if group is not None and self.storage.group_owner(group) not in (None, owner):
            raise not_found("task group", group)
        group = group or str(uuid.uuid4())
        # A pure function of its inputs: the same options always reach the same process.
        text = f"{owner}:{dump(_sorted(options))}"
        user_endpoint = UserEndpoint(
            str(uuid.uuid5(uuid.UUID(endpoint_id), text)), endpoint_id, owner, options, runtime
        )
        new = (self.storage.user_endpoint(user_endpoint.id), self.storage.group_owner(group)).count(None)
        total = sum(map(sum, sizes.values()))
        self.config.quota.check(self.storage.usage(owner), tasks=number, kept_bytes=total, queues=new)
        queues = [topology.tasks_queue(owner, user_endpoint.id)]
        if queue:
            queues.append(topology.group_queue(owner, group))
        self._ensure_queues(queues)
        self.storage.save_user_endpoint(user_endpoint)
        ids = {function_id: [str(uuid.uuid4()) for _ in payloads] for function_id, payloads in calls.items()}
        self.storage.add_tasks(
            [
                NewTask(task_id, function_id, payload, size)
                for function_id, payloads in calls.items()
                for task_id, payload, size in zip(ids[function_id], payloads, sizes[function_id], strict=True)
            ],
            Submission(owner, user_endpoint.id, group, queue, resource_specification, result_serializers),
            time.time(),
        )
        self.metrics.add("prov_service_tasks_submitted_total", number)
        self.dispatcher.publish_tasks(user_endpoint.id)
        self.dispatcher.command_start(user_endpoint)
        return group, ids

    @property
    def _task_limit(self) -> int:
        return min(self.config.task_limit_bytes, self.broker.largest_bytes)

    def _task_sizes(self, function: Function, payloads: Sequence[str]) -> list[int]:
        """Return bytes of the messages of tasks, none of which is too large."""
        limit, sizes = self._task_limit, []
        for number, payload in enumerate(payloads):
            size = messages.task_bytes(function.buffer, payload)
            if size > limit:
                reason = f"task {number} of function {function.id} has {size} bytes; at most {limit} are taken"
                raise ApiError(413, reason)
            sizes.append(size)
        return sizes

    def open_group(self, identity: Identity, group: str) -> list[str]:
        """Return tasks of a group; from now on its results go to its queue."""
        if self.storage.group_owner(group) != identity.client_id:
            raise not_found("task group", group)
        self._ensure_queues([topology.group_queue(identity.client_id, group)])
        self.storage.open_group_queue(group)
        return self.storage.group_tasks(group)


def _check_size(name: str, value: Any, limit: int) -> None:
    size = len(dump(value))
    if size > limit:
        raise ApiError(413, f"{name} have {size} bytes; at most {limit} are taken")


def _sorted(value: Any) -> Any:
    """Return the same mapping with its keys in one order, whatever order it came in."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_sorted(each) for each in value]
    return value
