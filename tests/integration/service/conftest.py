"""The whole stack: broker, service, stock daemon, stock SDK."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parent))

if TYPE_CHECKING:
    from globus_compute_sdk import Client
    from service_stack import Stack


@contextmanager
def _running(directory: Path, *options: str) -> Iterator[Stack]:
    from own_network import own_network
    from rabbitmq import need_rabbitmq
    from service_stack import Stack

    need_rabbitmq()
    with own_network(Path(tempfile.gettempdir()) / f"prov-worker-port-5000-{os.getuid()}.lock"):
        stack = Stack(directory, *options)
        try:
            stack.start()
            with pytest.MonkeyPatch.context() as patch:
                for name, value in stack.sdk_environment().items():
                    patch.setenv(name, value)
                yield stack
        except BaseException:
            sys.stderr.write(stack.logs())
            raise
        finally:
            stack.stop()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack for the tests of a module; each test uses user endpoint options of its own where that matters."""
    with _running(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture
def fresh_stack(tmp_path: Path) -> Iterator[Stack]:
    """A stack for one test, which may break it."""
    with _running(tmp_path / "stack") as running:
        yield running


@pytest.fixture
def client(stack: Stack) -> Client:
    from globus_compute_sdk import Client

    return Client()


@pytest.fixture
def wait_online(wait_for: Callable[..., None]) -> Callable[[Client, str], None]:
    def wait(client: Client, endpoint: str) -> None:
        wait_for(lambda: client.get_endpoint_status(endpoint)["status"] == "online", "endpoint online")

    return wait
