"""The whole stack: broker, service, stock daemon, stock SDK."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from flow_clients import FlowsUser
    from globus_compute_sdk import Client
    from rabbitmq import RabbitMQ
    from service_stack import Service, Stack


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """A broker alone, for services on ports of their own."""
    from rabbitmq import broker_running

    with broker_running(tmp_path_factory.mktemp("broker")) as running_broker:
        yield running_broker


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack for the tests of a module; each test uses user endpoint options of its own where that matters."""
    from service_stack import running

    with running(tmp_path_factory.mktemp("stack")) as running_stack:
        yield running_stack


@pytest.fixture
def client(stack: Stack) -> Client:
    from globus_compute_sdk import Client

    return Client()


@pytest.fixture
def wait_online(wait_for: Callable[..., None]) -> Callable[[Client, str], None]:
    def wait(client: Client, endpoint: str) -> None:
        wait_for(lambda: client.get_endpoint_status(endpoint)["status"] == "online", "endpoint online")

    return wait


@pytest.fixture
def user(service: Service, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], FlowsUser]:
    """Users of a module's rehearsal of Globus Flows, by their ids."""
    from flow_clients import FlowsUser

    return lambda client_id: FlowsUser(monkeypatch, service.port, client_id)
