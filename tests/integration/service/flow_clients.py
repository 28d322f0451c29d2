"""Clients of the rehearsed Flows, by the real globus-sdk."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rabbitmq import free_port
from service_stack import SECRETS, Service

if TYPE_CHECKING:
    import globus_sdk

PASS = {"Type": "Pass", "End": True}
FLOWS_VARIABLES = tuple(f"GLOBUS_SDK_SERVICE_URL_{name}" for name in ("AUTH", "FLOWS", "TRANSFER", "TIMER"))


def refusal(call: Callable[[], Any]) -> tuple[int | None, str | None]:
    """Status and code with which a call is refused."""
    import globus_sdk

    with pytest.raises(globus_sdk.GlobusAPIError) as refused:
        call()
    return refused.value.http_status, refused.value.code


def write_collections(path: Path, directories: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Write a file of collections, whose directories are made; returns their ids by name."""
    ids, entries = {}, []
    for name, more in directories.items():
        directory = path.parent / name
        directory.mkdir(exist_ok=True)
        ids[name] = str(uuid.uuid5(uuid.NAMESPACE_URL, str(directory)))
        entries.append({"id": ids[name], "path": str(directory), "name": name, **more})
    path.write_text(json.dumps(entries))
    return ids


def _rehearsal(directory: Path, *options: str) -> Service:
    """A service with flows on a port of its own, and without a broker."""
    nowhere = f"amqp://guest:guest@127.0.0.1:{free_port()}/%2F"
    return Service(directory, nowhere, "--amqp-management", "none", "--flows", *options, port=free_port())


@contextmanager
def rehearsing(directory: Path, *options: str) -> Iterator[Service]:
    """A service with flows on a port of its own, and without a broker, until the block ends."""
    running = _rehearsal(directory, *options)
    try:
        running.start(wait_for="degraded")
        yield running
    finally:
        running.stop()


class FlowsUser:
    """An identity's clients.

    Args:
        patch: points the SDK at the service.
        port: of the service.
        client_id: of the identity.
    """

    def __init__(self, patch: pytest.MonkeyPatch, port: int, client_id: str) -> None:
        import globus_sdk

        for name in FLOWS_VARIABLES:
            patch.setenv(name, f"http://127.0.0.1:{port}/")
        config = globus_sdk.GlobusAppConfig(token_storage="memory")
        self.app = globus_sdk.ClientApp("test", client_id=client_id, client_secret=SECRETS[client_id], config=config)
        self.client_id = client_id
        self.flows = globus_sdk.FlowsClient(app=self.app)
        self.transfer = globus_sdk.TransferClient(app=self.app)
        self.timers = globus_sdk.TimersClient(app=self.app)

    @property
    def urn(self) -> str:
        return f"urn:globus:auth:identity:{self.client_id}"

    def deploy(self, states: dict[str, Any], schema: dict[str, Any] | None = None, **more: Any) -> str:
        definition = {"StartAt": next(iter(states)), "States": states}
        return str(self.flows.create_flow("Test", definition, schema or {}, **more)["id"])

    def specific(self, flow: str) -> globus_sdk.SpecificFlowClient:
        import globus_sdk

        return globus_sdk.SpecificFlowClient(flow, app=self.app)

    def run(self, flow: str, value: dict[str, Any], **more: Any) -> str:
        return str(self.specific(flow).run_flow(value, **more)["run_id"])

    def wait(self, run: str, status: str = "ACTIVE", limit_s: float = 120) -> dict[str, Any]:
        """The run, once it has another status."""
        deadline = time.monotonic() + limit_s
        while (shown := self.flows.get_run(run).data)["status"] == status:
            assert time.monotonic() < deadline, shown
            time.sleep(0.1)
        return dict(shown)

    def wait_for_code(self, run: str, code: str) -> None:
        """Wait until the log of a run has an entry."""
        deadline = time.monotonic() + 60
        while code not in self.codes(run):
            assert time.monotonic() < deadline, self.codes(run)
            time.sleep(0.05)

    def codes(self, run: str) -> list[str]:
        return [entry["code"] for entry in self.flows.paginated.get_run_logs(run).items()]


def transfer(source: str, target: str, **more: Any) -> dict[str, Any]:
    """The state of a transfer of everything between collections."""
    item = {"source_path": "/", "destination_path": "/got/", "recursive": True}
    body = {"source_endpoint": source, "destination_endpoint": target, "DATA": [item], "sync_level": 3}
    return {
        "Type": "Action", "ActionUrl": "https://transfer.actions.globus.org/transfer", "Parameters": body,
        "ResultPath": "$.moved", "WaitTime": 300, "ExceptionOnActionFailure": True, **more,
    }  # fmt: skip
