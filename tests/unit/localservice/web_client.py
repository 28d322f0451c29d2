"""A client of the service under test, and who it may be."""

from __future__ import annotations

import base64
import http.client
import json
import uuid
from dataclasses import dataclass
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra 'service' is not installed")
pytest.importorskip("prometheus_client", reason="the extra 'service' is not installed")
pytest.importorskip("uvicorn", reason="the extra 'service' is not installed")

from prov_worker.localservice.identities import Identity
from prov_worker.localservice.service import Service
from prov_worker.localservice.tokens import COMPUTE_SCOPE

ALICE = Identity(str(uuid.uuid5(uuid.NAMESPACE_DNS, "alice")), "secret of alice", "Alice <&>")
BOB = Identity(str(uuid.uuid5(uuid.NAMESPACE_DNS, "bob")), "secret of bob", "Bob")
BODY_LIMIT = 100_000
TASK_LIMIT = 5
CONNECTION_LIMIT = 20


@dataclass
class Web:
    """A running application, and a client of it."""

    service: Service
    port: int

    def ask(
        self, method: str, path: str, content: Any = None, *, headers: dict[str, str] | None = None, raw: bytes = b""
    ) -> tuple[int, Any, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=90)
        headers = dict(headers or {})
        body = raw
        if content is not None:
            body = json.dumps(content).encode()
            headers.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            text = answer.read()
            received = {name.lower(): value for name, value in answer.getheaders()}
            is_json = received.get("content-type", "").startswith("application/json")
            return answer.status, json.loads(text) if is_json else text.decode(), received
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
