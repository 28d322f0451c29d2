"""Tasks and results of 10 to 16 MiB, with the limit of RabbitMQ 4: they are refused, or pass, and stop nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from rabbitmq import RabbitMQ, broker_running
from service_stack import ALICE, BOB, Service, service_running
from test_refusals import MIB, Client, wait

pytestmark = [pytest.mark.long, pytest.mark.timeout(300), pytest.mark.xdist_group("service-large")]
#: ``max_message_size`` of RabbitMQ 4.0; the releases before take 128 MiB.
BROKER_BYTES = 16 * MIB
SIZES = (10.5, 13, 14.5)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    with broker_running(tmp_path_factory.mktemp("broker"), f"max_message_size = {BROKER_BYTES}\n") as broker:
        yield broker


@pytest.fixture
def client_of(tmp_path: Path, broker: RabbitMQ) -> Iterator[Callable[..., Client]]:
    """Make clients of a service with options."""
    services: list[Service] = []
    with ExitStack() as ends:

        def make(client_id: str, *options: str) -> Client:
            if not services:
                services.append(ends.enter_context(service_running(tmp_path, broker, *options)))
            return Client(services[0], broker, client_id)

        yield make


def test_above_the_real_services_limit_they_are_refused_and_nothing_stops(client_of: Callable[..., Client]) -> None:
    alice, bob = client_of(ALICE), client_of(BOB)
    for size in SIZES:
        status, body = alice.submission("x" * int(size * MIB))
        assert status == 413
        sent, limit = map(int, re.findall(r"has (\d+) bytes; at most (\d+) are taken", body)[0])
        assert (sent >= size * MIB, limit) == (True, 10 * MIB)
    (large, small), (other,) = alice.submit("a", "b", create_queue=True), bob.submit("c", create_queue=True)
    alice.finish(large, size=13 * MIB)
    alice.finish(small)
    bob.finish(other)
    assert f"{13 * MIB} bytes exceeds the service's limit of {10 * MIB}" in alice.reason(large)
    assert alice.take(alice.results_queue, 2) == [large, small]
    assert bob.take(bob.results_queue, 1) == [other]
    assert alice.service.health()["status"] == "ok"


def test_below_a_higher_limit_they_pass_whole(client_of: Callable[..., Client]) -> None:
    alice = client_of(ALICE, "--max-task-mib", "15", "--max-result-mib", "15")
    payloads = ["x" * int(size * MIB) for size in SIZES]
    tasks = [task for payload in payloads for task in alice.submit(payload, create_queue=True)]
    sizes = whole(alice, alice.tasks_queue, len(tasks), "task_buffer")
    code = len("5\n01\nx\n")  # of the function, before each task's arguments
    assert [size - code for size in sizes] == [len(payload) for payload in payloads]
    for task, payload in zip(tasks, payloads, strict=True):
        alice.finish(task, size=len(payload))
    assert whole(alice, alice.results_queue, len(tasks), "data") == [len(payload) for payload in payloads]
    status, body = alice.submission("x" * int(15.5 * MIB))
    assert (status, f"at most {15 * MIB} are taken" in body) == (413, True)
    assert alice.service.health()["status"] == "ok"


def whole(client: Client, queue: str, number: int, field: str) -> list[int]:
    """Return the sizes of a field of messages of a queue, in their order."""
    sizes: list[int] = []

    def enough() -> bool:
        with client.broker.channel() as channel:
            while (body := channel.basic_get(queue, auto_ack=True)[2]) is not None:
                sizes.append(len(json.loads(body[1:])["data"][field]))
        return len(sizes) >= number

    wait(enough, sizes)
    return sizes
