"""A service without a broker: everything but the flows themselves."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra 'service' is not installed")
pytest.importorskip("uvicorn", reason="the extra 'service' is not installed")

from prov_worker.localservice.config import Config
from prov_worker.localservice.identities import Identities, Identity
from prov_worker.localservice.service import Service
from prov_worker.localservice.sqlite import SqliteStorage
from prov_worker.localservice.tokens import COMPUTE_SCOPE

ALICE = Identity(str(uuid.uuid5(uuid.NAMESPACE_DNS, "alice")), "secret of alice", "Alice <&>")
BOB = Identity(str(uuid.uuid5(uuid.NAMESPACE_DNS, "bob")), "secret of bob", "Bob")
BODY_LIMIT = 100_000
TASK_LIMIT = 5


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[SqliteStorage]:
    opened = SqliteStorage(tmp_path / "state" / "service.sqlite")
    yield opened
    opened.close()


@dataclass
class Web:
    """A running application, and a client of it."""

    service: Service
    port: int

    def ask(
        self, method: str, path: str, content: Any = None, *, headers: dict[str, str] | None = None, raw: bytes = b""
    ) -> tuple[int, Any, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = dict(headers or {})
        body = raw
        if content is not None:
            body = json.dumps(content).encode()
            headers.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            text = answer.read()
            found = {name.lower(): value for name, value in answer.getheaders()}
            is_json = found.get("content-type", "").startswith("application/json")
            return answer.status, json.loads(text) if is_json else text.decode(), found
        finally:
            connection.close()

    @staticmethod
    def basic(identity: Identity, secret: str | None = None) -> dict[str, str]:
        text = f"{identity.client_id}:{identity.client_secret if secret is None else secret}"
        return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}

    def token(self, identity: Identity, scope: str = COMPUTE_SCOPE) -> str:
        status, content, _ = self.ask(
            "POST",
            "/v2/oauth2/token",
            headers={**self.basic(identity), "Content-Type": "application/x-www-form-urlencoded"},
            raw=f"grant_type=client_credentials&scope={scope}".encode(),
        )
        assert status == 200, content
        return str(content["access_token"])

    def bearer(self, identity: Identity, scope: str = COMPUTE_SCOPE) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(identity, scope)}"}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Web]]:
    """Start the application on the state in ``tmp_path``; its broker's address leads nowhere."""
    import uvicorn

    from prov_worker.localservice.app import create_app

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
        )
        service = Service(config, SqliteStorage(config.database), Identities([ALICE, BOB]))
        server = uvicorn.Server(uvicorn.Config(create_app(service), log_config=None, ws="none"))
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
