"""Fleets on the local service: broker, service, and real daemons that the fleet starts."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fleet_host import FleetHost
    from service_stack import Stack

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "service")]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Broker and local service, in a network of the tests' own, which the tests after them must not be in."""
    from service_stack import running

    with running(tmp_path_factory.mktemp("stack"), endpoint=False) as stack:
        yield stack


@pytest.fixture(scope="module")
def service_environment(stack: Stack) -> dict[str, str]:
    """Variables of the service's clients."""
    return stack.service.environment()


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
            wait_for(lambda: host.up(name, (before or {}).get(name)), f"{name} runs: {host.log()}", 180.0)  # noqa: B023

    return wait
