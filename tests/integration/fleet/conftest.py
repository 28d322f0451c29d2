"""Fleets on the local service: broker, service, and real daemons that the fleet starts."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fleet_host import FleetHost

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "service")]

HOW = "RabbitMQ is not installed (on Debian and Ubuntu: apt-get install --no-install-recommends rabbitmq-server)"


@pytest.fixture(scope="session")
def service_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Variables of a running local service, in a network of the tests' own."""
    from rabbitmq import RabbitMQ, server_script

    if server_script() is None:
        if os.environ.get("PROV_REQUIRE_RABBITMQ", "0") not in ("", "0"):
            pytest.fail(f"{HOW}, and PROV_REQUIRE_RABBITMQ is set", pytrace=False)
        pytest.skip(HOW)
    from own_network import own_network
    from service_stack import Service

    directory = tmp_path_factory.mktemp("service")
    with own_network(Path(tempfile.gettempdir()) / f"prov-worker-port-5000-{os.getuid()}.lock"):
        broker = RabbitMQ(directory / "broker")
        service = Service(directory / "service", broker.url)
        try:
            broker.start()
            service.start()
            variables = service.environment()
            with pytest.MonkeyPatch.context() as patch:
                for name, value in variables.items():
                    patch.setenv(name, value)
                patch.setenv("GLOBUS_COMPUTE_USER_DIR", str(directory / "sdk"))
                yield variables
        finally:
            service.stop()
            broker.close()


@pytest.fixture
def host(service_environment: dict[str, str], tmp_path: Path) -> Iterator[FleetHost]:
    """A fleet host whose daemons find the service."""
    from fleet_host import FleetHost

    host = FleetHost(tmp_path / "fleet", {**os.environ, **service_environment})
    try:
        yield host
    finally:
        host.close()


@pytest.fixture
def wait_up(wait_for: Callable[..., None]) -> Callable[..., None]:
    """Wait until endpoints run; a process each that is not one of before."""

    def wait(host: FleetHost, *names: str, before: dict[str, object] | None = None) -> None:
        for name in names:
            wait_for(lambda: host.up(name, (before or {}).get(name)), f"{name} runs: {host.log()}", 60.0)  # noqa: B023

    return wait
