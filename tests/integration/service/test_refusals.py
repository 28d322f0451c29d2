"""What the broker refuses fails one task, with the reason, and stops nothing else."""

from __future__ import annotations

import json
import re
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any
from urllib.parse import quote

import pytest
from pika.exceptions import ChannelClosedByBroker
from rabbitmq import RabbitMQ, broker_running, free_port
from service_stack import ALICE, BOB, SECRETS, Identity, Service, started
from tcp_proxy import Proxy

from prov_worker.localservice import messages, topology

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.xdist_group("service-refusals")]
LIMIT_S = 60
MIB = 1024 * 1024
#: What the broker of these tests takes; the service itself is told more.
BROKER_BYTES = 4 * MIB


@pytest.fixture(scope="module")
def small_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    with broker_running(tmp_path_factory.mktemp("broker"), f"max_message_size = {BROKER_BYTES}\n") as broker:
        yield broker


@pytest.fixture(scope="module")
def way(small_broker: RabbitMQ) -> Iterator[Proxy]:
    """The service's way to the broker; these tests have one of their own."""
    proxy = Proxy(small_broker.port, free_port())
    try:
        yield proxy
    finally:
        proxy.close()


@pytest.fixture(scope="module")
def service(small_broker: RabbitMQ, way: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    url = f"amqp://guest:guest@127.0.0.1:{way.port}/%2F"
    options = ("--amqp-management", small_broker.management_url, "--max-result-mib", "1")
    with started(Service(tmp_path_factory.mktemp("service"), url, *options, port=free_port())) as service:
        yield service


class Client(Identity):
    """An identity with an endpoint, whose daemon is this test, and a function."""

    def __init__(self, service: Service, broker: RabbitMQ, client_id: str) -> None:
        super().__init__(service, client_id, SECRETS[client_id])
        self.service, self.broker = service, broker
        self.endpoint = self.register()["endpoint_id"]
        body = {"function_name": "f", "function_code": "5\n01\nx\n"}
        self.function = self.ask("POST", "/v3/functions", body)["function_uuid"]
        self.group = str(uuid.uuid4())
        #: Of submissions without options.
        self.user_endpoint = str(uuid.uuid5(uuid.UUID(self.endpoint), f"{client_id}:{{}}"))
        self.tasks_queue = topology.tasks_queue(client_id, self.user_endpoint)
        self.results_queue = topology.group_queue(client_id, self.group)

    def submission(self, *payloads: str, **more: Any) -> tuple[int, str]:
        content = {"tasks": {self.function: list(payloads)}, "task_group_id": self.group, **more}
        status, body, _ = self.answer("POST", f"/v3/endpoints/{self.endpoint}/submit", content)
        return status, body.decode()

    def submit(self, *payloads: str, **more: Any) -> list[str]:
        status, body = self.submission(*payloads, **more)
        assert status == 200, body
        return list(json.loads(body)["tasks"][self.function])

    def reason(self, task: str) -> str:
        """Why a task failed, once it has."""
        documents: list[dict[str, Any]] = []

        def failed() -> bool:
            documents.append(self.ask("GET", f"/v2/tasks/{task}"))
            return documents[-1]["status"] == "failed"

        wait(failed, documents)
        return str(documents[-1]["exception"])

    def finish(self, *tasks: str, size: int = 10) -> None:
        """Give the results of tasks, as their user endpoint would."""
        key = topology.routing_key(self.client_id, self.user_endpoint, topology.RESULTS)
        with self.broker.channel() as channel:
            channel.confirm_delivery()
            for task in tasks:
                data = {"task_id": task, "data": "x" * size, "details": None, "task_statuses": []}
                body = b"\x01" + json.dumps({"message_type": "result", "data": data}).encode()
                channel.basic_publish(topology.RESULTS, key, body, mandatory=True)

    def take(self, queue: str, number: int) -> list[str]:
        """Ids of the tasks, or of the results, that are put into a queue; each once, in their order."""
        ids: dict[str, None] = {}

        def enough() -> bool:
            # Until it is made there is no queue.
            with self.broker.channel() as channel, suppress(ChannelClosedByBroker):
                while (body := channel.basic_get(queue, auto_ack=True)[2]) is not None:
                    ids[json.loads(body[1:])["data"]["task_id"]] = None
            return len(ids) >= number

        wait(enough, ids)
        return list(ids)

    def depth(self, queue: str) -> int:
        """How many messages wait in a queue."""
        with self.broker.channel() as channel:
            return int(channel.queue_declare(queue, passive=True).method.message_count)

    @contextmanager
    def policy(self, queue: str, **definition: Any) -> Iterator[None]:
        """A policy of the broker for one queue."""
        path = f"policies/%2F/{quote(queue)}"
        content = {"pattern": f"^{re.escape(queue)}$", "definition": definition, "apply-to": "queues"}
        self.broker.manage("PUT", path, content)
        try:
            yield
        finally:
            self.broker.manage("DELETE", path)


def wait(condition: Callable[[], object], seen: object) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, seen
        time.sleep(0.05)


@pytest.fixture
def alice(service: Service, small_broker: RabbitMQ) -> Client:
    return Client(service, small_broker, ALICE)


@pytest.fixture
def bob(service: Service, small_broker: RabbitMQ) -> Client:
    return Client(service, small_broker, BOB)


def test_a_task_above_the_brokers_limit_is_refused_with_both_numbers(alice: Client, bob: Client) -> None:
    """Requests may be larger than messages; the service has asked the broker what it takes."""
    wait(lambda: alice.submission("x" * (6 * MIB))[0] == 413, "the size is not known yet")
    status, body = alice.submission("x", "x" * (6 * MIB))
    size, limit = map(int, re.findall(r"has (\d+) bytes; at most (\d+) are taken", body)[0])
    assert status == 413
    assert "task 1 of function" in body
    assert size > 6 * MIB > BROKER_BYTES >= limit > BROKER_BYTES - 128 * 1024
    tasks = alice.submit("a", "x" * (3 * MIB), "c") + bob.submit("d")
    assert alice.take(alice.tasks_queue, 3) + bob.take(bob.tasks_queue, 1) == tasks


@pytest.mark.parametrize(
    "more",
    [{"resource_specification": {"x": "y" * 70_000}}, {"result_serializers": ["y" * 70_000]},
     {"user_endpoint_config": {"x": "y" * 300_000}}, {"user_runtime": {"x": "y" * 300_000}}],
    ids=lambda more: next(iter(more)),
)  # fmt: skip
def test_what_goes_beside_a_task_is_limited(alice: Client, more: dict[str, Any]) -> None:
    status, body = alice.submission("x", **more)
    assert status == 413
    assert re.search(r"have \d+ bytes; at most \d+ are taken", body)


@contextmanager
def away(service: Service, way: Proxy) -> Iterator[None]:
    """The broker cannot be reached meanwhile."""
    way.cut()
    try:
        wait(lambda: service.health()["broker"] == "down", "the broker is still there")
        yield
    finally:
        way.repair()
        wait(lambda: service.health()["status"] == "ok", "the broker does not come back")


@contextmanager
def size_taken(broker: RabbitMQ, size: int) -> Iterator[None]:
    """The largest message that the broker takes on new channels."""
    change = "application:set_env(rabbit, max_message_size, {})."
    broker.evaluate(change.format(size))
    try:
        yield
    finally:
        broker.evaluate(change.format(BROKER_BYTES))


def test_tasks_that_the_broker_refuses_fail_alone(
    service: Service, small_broker: RabbitMQ, way: Proxy, alice: Client, bob: Client
) -> None:
    """Accepted while the broker was away; it comes back with a lower limit, and somebody wrote to the database."""
    for client in (alice, bob):
        client.take(client.tasks_queue, len(client.submit("first")))
    with size_taken(small_broker, MIB):
        with away(service, way):
            good, large, unframed, unencoded, last = alice.submit("a", "x" * (2 * MIB), "c", "d", "e")
            others = bob.submit("f", "g")
            with closing(sqlite3.connect(service.database, isolation_level=None, timeout=60)) as database:
                change = "UPDATE tasks SET {} = ? WHERE id = ?"
                database.execute(change.format("resource_specification"), (json.dumps("y" * 200_000), unframed))
                database.execute(change.format("result_serializers"), (f"[{10**30}]", unencoded))
        assert "PRECONDITION_FAILED - message size" in alice.reason(large)
        assert "the broker takes 131072 in a frame" in alice.reason(unframed)
        assert "cannot be encoded" in alice.reason(unencoded)
        assert sorted(alice.take(alice.tasks_queue, 2)) == sorted([good, last])
        assert sorted(bob.take(bob.tasks_queue, 2)) == sorted(others)
        assert service.health()["status"] == "ok"
    with away(service, way):
        pass  # the service asks again what the broker takes


def test_a_queue_that_is_gone_is_made_again(alice: Client) -> None:
    alice.take(alice.tasks_queue, len(alice.submit("first")))
    alice.broker.manage("DELETE", f"queues/%2F/{alice.tasks_queue}")
    tasks = alice.submit("a", "b")
    assert sorted(alice.take(alice.tasks_queue, 2)) == sorted(tasks)


def test_a_policy_that_refuses_fails_the_tasks_that_it_refuses(alice: Client, bob: Client) -> None:
    with alice.policy(alice.tasks_queue, **{"max-length": 2, "overflow": "reject-publish"}):
        alice.submit("a", "b")
        wait(lambda: alice.depth(alice.tasks_queue) == 2, "tasks")
        (refused,) = alice.submit("c")
        assert "the broker refused the message" in alice.reason(refused)
        others = bob.submit("d")
        assert bob.take(bob.tasks_queue, 1) == others
    assert len(alice.take(alice.tasks_queue, 2)) == 2
    later = alice.submit("e")
    assert alice.take(alice.tasks_queue, 1) == later


def test_a_result_that_is_refused_is_a_failure_with_the_reason(alice: Client, bob: Client) -> None:
    first, second = alice.submit("a", "b", create_queue=True)
    other = bob.submit("c", create_queue=True)
    with alice.policy(alice.results_queue, **{"max-length": 1, "overflow": "reject-publish"}):
        alice.finish(first)
        wait(lambda: alice.depth(alice.results_queue) == 1, "the first result")
        alice.finish(second)
        assert "the message broker refused the result" in alice.reason(second)
        bob.finish(*other)
        assert bob.take(bob.results_queue, 1) == other
    assert alice.take(alice.results_queue, 1)[0] == first


def test_a_result_above_the_limit_fails_its_task_with_both_numbers(alice: Client) -> None:
    large, small = alice.submit("a", "b", create_queue=True)
    alice.finish(large, size=2 * MIB)
    alice.finish(small)
    assert f"{2 * MIB} bytes exceeds the service's limit of {MIB}" in alice.reason(large)
    assert alice.take(alice.results_queue, 2) == [large, small]


def test_a_queue_of_another_kind_is_used_as_it_is(alice: Client) -> None:
    with alice.broker.channel() as channel:
        channel.queue_declare(alice.tasks_queue, durable=True, arguments={"x-queue-type": "quorum"})
    tasks = alice.submit("a", "b")
    assert sorted(alice.take(alice.tasks_queue, 2)) == sorted(tasks)


@pytest.mark.parametrize(
    "data",
    [{"global_state": {"heartbeat_period": 10**400}}, {"global_state": {"heartbeat_period": "soon"}},
     {"global_state": {"x": float("nan")}}, {"global_state": {"x": "\ud800"}}, {}],
)  # fmt: skip
def test_odd_messages_end_nothing(alice: Client, data: dict[str, Any]) -> None:
    key = topology.routing_key(alice.client_id, alice.endpoint, topology.HEARTBEATS)
    body = {"message_type": "ep_status_report", "data": {"endpoint_id": alice.endpoint, **data}}
    (task,) = alice.submit("a")
    with alice.broker.channel() as channel:
        channel.basic_publish(topology.HEARTBEATS, key, b"\x01" + json.dumps(body).encode())
        odd = messages.failure("\ud800", "X", "no such task")
        channel.basic_publish(topology.RESULTS, topology.routing_key(alice.client_id, "x", topology.RESULTS), odd)
    alice.finish(task)
    wait(lambda: alice.ask("GET", f"/v2/tasks/{task}")["status"] == "success", "a result")
    assert alice.service.health()["status"] == "ok"


@pytest.mark.long
def test_a_task_that_a_quorum_queue_has_dropped_is_sent_again(alice: Client) -> None:
    """After its delivery limit; by heartbeats of a user endpoint that knows of no task the service learns of it."""
    arguments = {"x-queue-type": "quorum", "x-delivery-limit": 1}
    report = {"heartbeat_period": 5, "outstanding_tasks": 0, "pending_tasks": 0}
    arrived: list[str] = []
    with alice.broker.channel() as channel:
        channel.queue_declare(alice.tasks_queue, durable=True, arguments=arguments)
        tasks = alice.submit("a")
        deliveries = 0
        while deliveries < 2:
            method = channel.basic_get(alice.tasks_queue)[0]
            if method is not None:
                deliveries += 1
                channel.basic_nack(method.delivery_tag, requeue=True)
        wait(lambda: alice.depth(alice.tasks_queue) == 0, "the queue keeps it")
        channel.basic_consume(
            alice.tasks_queue, lambda *delivery: arrived.append(json.loads(delivery[3][1:])["data"]["task_id"])
        )

        def again() -> bool:
            for endpoint in (alice.endpoint, alice.user_endpoint):
                data = {"endpoint_id": endpoint, "global_state": report}
                body = b"\x01" + json.dumps({"message_type": "ep_status_report", "data": data}).encode()
                key = topology.routing_key(alice.client_id, endpoint, topology.HEARTBEATS)
                channel.basic_publish(topology.HEARTBEATS, key, body)
            channel.connection.process_data_events(time_limit=1.0)
            return bool(arrived)

        wait(again, "it does not come again")
    assert arrived == tasks
