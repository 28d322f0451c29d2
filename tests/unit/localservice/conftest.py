"""A service without a broker: everything but the flows themselves."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# A skip here would end the collection of all tests: each module says what it needs.
if TYPE_CHECKING:
    from web_client import Web

    from prov_worker.localservice.sqlite import SqliteStorage


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[SqliteStorage]:
    from prov_worker.localservice.sqlite import SqliteStorage

    opened = SqliteStorage(tmp_path / "state" / "service.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Web]]:
    """Start the application on the state in ``tmp_path``; its broker's address leads nowhere."""
    import uvicorn
    from web_client import ALICE, BOB, BODY_LIMIT, CONNECTION_LIMIT, TASK_LIMIT, Web

    from prov_worker.localservice.config import Config
    from prov_worker.localservice.connections import Connections
    from prov_worker.localservice.identities import Identities
    from prov_worker.localservice.server import protocol, server_config
    from prov_worker.localservice.service import Service
    from prov_worker.localservice.sqlite import SqliteStorage

    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def begin() -> Web:
        for server, thread in running:
            server.should_exit = True
            thread.join(20)
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        # Bound, but not listening: whoever connects is refused, and nobody else can take it.
        nowhere = socket.socket()
        nowhere.bind(("127.0.0.1", 0))
        config = Config(
            port=listener.getsockname()[1],
            amqp_url=f"amqp://guest:guest@127.0.0.1:{nowhere.getsockname()[1]}/%2F",
            database=tmp_path / "web" / "service.sqlite",
            body_limit_bytes=BODY_LIMIT,
            task_limit=TASK_LIMIT,
            connection_limit=CONNECTION_LIMIT,
            crate_dirs=(tmp_path / "crates",),
        )
        service = Service(config, SqliteStorage(config.database), Identities([ALICE, BOB]))
        http = protocol(config, Connections(config.connection_limit))
        server = uvicorn.Server(server_config(service, http))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        running.append((server, thread))
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        sockets.append(nowhere)
        return Web(service, config.port)

    sockets: list[socket.socket] = []
    yield begin
    for server, thread in running:
        server.should_exit = True
        thread.join(20)
    for each in sockets:
        each.close()


@pytest.fixture
def web(start: Callable[[], Web]) -> Web:
    return start()
