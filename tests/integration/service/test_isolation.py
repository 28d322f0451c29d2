"""One identity's account on the broker reaches nothing of another's, and ends with its identity or its secret."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPConnectionError, ChannelClosedByBroker, ConnectionClosedByBroker
from rabbitmq import RabbitMQ, free_port, need_rabbitmq
from service_stack import ALICE, BOB, SECRETS, Identity, Service, service_running

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.xdist_group("service-isolation")]


@pytest.fixture(scope="module", params=[(), ("--amqp-advertise", "service")], ids=["broker's port", "service's port"])
def service(
    request: pytest.FixtureRequest, broker: RabbitMQ, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    with service_running(tmp_path_factory.mktemp("service"), broker, *request.param) as service:
        yield service


@pytest.fixture
def alice(service: Service) -> Identity:
    return Identity(service, ALICE, SECRETS[ALICE])


@pytest.fixture
def bob(service: Service) -> Identity:
    return Identity(service, BOB, SECRETS[BOB])


@contextmanager
def channel(url: str) -> Iterator[BlockingChannel]:
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        yield connection.channel()
    finally:
        if connection.is_open:
            connection.close()


def test_an_identity_reads_and_publishes_its_own(service: Service, alice: Identity) -> None:
    info = alice.register()
    where = info["command_queue_info"]
    assert urlsplit(where["connection_url"]).username != "guest"
    with channel(where["connection_url"]) as own:
        assert own.queue_declare(where["queue"], passive=True).method.message_count == 0
        assert own.basic_get(where["queue"])[0] is None
        publish = info["heartbeat_queue_info"]["queue_publish_kwargs"]
        own.exchange_declare(publish["exchange"], passive=True)
        own.confirm_delivery()
        own.basic_publish(publish["exchange"], publish["routing_key"], b"no heartbeat")


REFUSED: dict[str, Callable[[BlockingChannel, str, str], Any]] = {
    "get": lambda channel, queue, _: channel.basic_get(queue),
    "consume": lambda channel, queue, _: channel.basic_consume(queue, lambda *_: None),
    "purge": lambda channel, queue, _: channel.queue_purge(queue),
    "delete": lambda channel, queue, _: channel.queue_delete(queue),
    "bind": lambda channel, queue, _: channel.queue_bind(queue, "results", "#"),
    "publish to the queue": lambda channel, queue, _: _publish(channel, "", queue),
    "publish as the other": lambda channel, _, key: _publish(channel, "results", key),
    "heartbeat as the other": lambda channel, _, key: _publish(channel, "heartbeats", key),
    "declare in its name": lambda channel, queue, _: channel.queue_declare(f"{queue}.more"),
    "declare anything": lambda channel, *_: channel.queue_declare(""),
    "declare an exchange": lambda channel, *_: channel.exchange_declare("more", "fanout"),
    "read all results": lambda channel, *_: channel.basic_get("results"),
    "read all heartbeats": lambda channel, *_: channel.basic_get("heartbeats"),
    "trace": lambda channel, *_: channel.queue_bind("results", "amq.rabbitmq.trace", "#"),
}


def _publish(channel: BlockingChannel, exchange: str, key: str) -> None:
    channel.confirm_delivery()
    channel.basic_publish(exchange, key, b"x", mandatory=True)


@pytest.mark.parametrize("attempt", REFUSED)
def test_an_identity_is_refused_what_is_anothers(alice: Identity, bob: Identity, attempt: str) -> None:
    info = alice.register()
    key = info["heartbeat_queue_info"]["queue_publish_kwargs"]["routing_key"]
    with channel(bob.url()) as foreign, pytest.raises(ChannelClosedByBroker, match="ACCESS_REFUSED") as refused:
        REFUSED[attempt](foreign, info["command_queue_info"]["queue"], key)
    assert refused.value.reply_code == 403


def test_what_an_identity_can_see_of_anothers_queue_is_its_length(alice: Identity, bob: Identity) -> None:
    """RabbitMQ asks for no permission here, and the daemon declares its queues so; the name holds two ids to guess."""
    queue = alice.register()["command_queue_info"]["queue"]
    with channel(bob.url()) as foreign:
        assert foreign.queue_declare(queue, passive=True).method.message_count == 0


def test_an_account_is_none_of_the_management_api(broker: RabbitMQ, service: Service, bob: Identity) -> None:
    import base64
    import http.client

    parts = urlsplit(bob.url())
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(broker.management_url).port, timeout=90)
    login = base64.b64encode(f"{parts.username}:{parts.password}".encode()).decode()
    connection.request("GET", "/api/queues", headers={"Authorization": f"Basic {login}"})
    assert connection.getresponse().status == 401
    connection.close()


def test_accounts_end_with_their_identity_or_secret(broker: RabbitMQ, tmp_path: Path) -> None:
    with service_running(tmp_path, broker) as service:
        alice, bob = (Identity(service, each, SECRETS[each]).url() for each in (ALICE, BOB))
        with channel(alice) as held:
            service.stop()
            # Alice has a new secret, Bob is gone, and somebody else has come.
            other = str(uuid.uuid4())
            secrets = {ALICE: "another secret of alice, for tests", other: "a secret of another, for tests"}
            service.write_identities(secrets)
            service.start()
            # What was open with the old secret is closed by the broker.
            with pytest.raises((ConnectionClosedByBroker, AMQPConnectionError)):
                held.connection.process_data_events(time_limit=60)
        for old in (alice, bob):
            with pytest.raises(AMQPConnectionError):
                pika.BlockingConnection(pika.URLParameters(old))
        for each, secret in secrets.items():
            with channel(Identity(service, each, secret).url()) as own:
                assert own.is_open


def test_accounts_come_back_with_a_broker_that_lost_its_state(tmp_path: Path) -> None:
    import shutil

    need_rabbitmq()
    broker = RabbitMQ(tmp_path / "broker")
    try:
        broker.start()
        with service_running(tmp_path / "service", broker) as service:
            url = Identity(service, ALICE, SECRETS[ALICE]).url()
            broker.stop()
            shutil.rmtree(broker.directory / "mnesia")
            broker.start()
            deadline = time.monotonic() + 180
            while service.health().get("status") != "ok":
                assert time.monotonic() < deadline, service.log.read_text()
                time.sleep(0.1)
            with channel(url) as own:
                assert own.is_open
    finally:
        broker.close()


def test_without_the_management_api_many_identities_get_nothing(broker: RabbitMQ, tmp_path: Path) -> None:
    """No silent sharing of one account; one who wants it says so."""
    service = Service(tmp_path, broker.url, "--amqp-management", f"http://127.0.0.1:{free_port()}/", port=free_port())
    try:
        service.start(wait_for="degraded")
        alice = Identity(service, ALICE, SECRETS[ALICE])
        status, body, _ = alice.answer("POST", "/v3/endpoints", {"endpoint_name": "ep"})
        assert status == 503
        assert json.loads(body)["reason"].startswith("no accounts at the message broker:")
        assert service.health()["accounts"] == "down"
    finally:
        service.stop()
    with service_running(tmp_path / "shared", broker, "--amqp-management", "none", management=False) as shared:
        assert urlsplit(Identity(shared, ALICE, SECRETS[ALICE]).url()).username == "guest"
