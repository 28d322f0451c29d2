"""Broker, service and endpoint daemon: real processes, as a person would start them."""

from __future__ import annotations

import http.client
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from endpoint_daemon import Daemon
from own_network import own_network
from rabbitmq import RabbitMQ, free_port, need_rabbitmq

from prov_worker.files import write_file
from prov_worker.localservice.tokens import COMPUTE_SCOPE

SECRETS = {
    str(uuid.uuid5(uuid.NAMESPACE_DNS, name)): f"secret-of-{name}-for-tests-of-the-service" for name in ("alice", "bob")
}
ALICE, BOB = SECRETS


class Service:
    """``prov-worker service run``."""

    def __init__(self, directory: Path, amqp_url: str, *options: str, port: int = 5000) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory, self.port = directory, port
        self.database = directory / "state" / "service.sqlite"
        self.identities = directory / "identities.json"
        self.write_identities(SECRETS)
        self.options = ["--port", str(port), "--db", str(self.database), "--identities", str(self.identities)]
        self.run_options, self.amqp_url = list(options), amqp_url
        self.process: subprocess.Popen[bytes] | None = None
        self.log = directory / "service.log"

    def write_identities(self, secrets: dict[str, str]) -> None:
        """Say who may use it from its next start on: secrets by client id."""
        entries = [{"client_id": key, "client_secret": secret} for key, secret in secrets.items()]
        write_file(self.identities, json.dumps(entries), mode=0o600)

    def start(self, *, wait_for: str = "ok") -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "prov_worker", "service", "run", *self.options, *self.run_options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env={**os.environ, "PROV_SERVICE_AMQP_URL": self.amqp_url},
            )  # fmt: skip
        deadline = time.monotonic() + 180
        while self.health().get("status") != wait_for:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)

    def health(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self.request("GET", "/health")[1]))
        except OSError:
            return {}

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=90)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}
        finally:
            connection.close()

    def metric(self, line: str) -> float:
        """A metric by name and labels, as the page spells them."""
        for text in self.request("GET", "/metrics")[1].decode().splitlines():
            name, _, value = text.rpartition(" ")
            if name == line:
                return float(value)
        return 0.0

    def environment(self, identity: str = ALICE) -> dict[str, str]:
        """What ``prov-worker service env`` prints."""
        line = subprocess.run(
            [sys.executable, "-m", "prov_worker", "service", "env", *self.options, "--identity", identity],
            capture_output=True, text=True, check=True, timeout=180,
        ).stdout  # fmt: skip
        fields = shlex.split(line)
        assert fields[0] == "export"
        return dict(word.split("=", 1) for word in fields[1:])

    def stop(self, with_signal: int = signal.SIGTERM) -> None:
        if self.process is None:
            return
        process, self.process = self.process, None
        process.send_signal(with_signal)
        try:
            process.wait(180)
        finally:
            process.kill()


@contextmanager
def started(service: Service) -> Iterator[Service]:
    """Start a service, and stop it with the block."""
    try:
        service.start()
        yield service
    finally:
        service.stop()


@contextmanager
def service_running(directory: Path, broker: RabbitMQ, *options: str, management: bool = True) -> Iterator[Service]:
    """A service on a port of its own, with accounts at the broker unless said otherwise."""
    accounts = ("--amqp-management", broker.management_url) if management else ()
    with started(Service(directory, broker.url, *accounts, *options, port=free_port())) as service:
        yield service


class Identity:
    """A client of the service by its routes."""

    def __init__(self, service: Service, client_id: str, secret: str) -> None:
        self._service, self.client_id, self.secret = service, client_id, secret
        self.headers = {"Authorization": f"Bearer {self.token(COMPUTE_SCOPE)}"}

    def token(self, scope: str) -> str:
        form = {
            "grant_type": "client_credentials", "scope": scope,
            "client_id": self.client_id, "client_secret": self.secret,
        }  # fmt: skip
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        status, body, _ = self._service.request("POST", "/v2/oauth2/token", urlencode(form).encode(), headers)
        assert status == 200, body
        return str(json.loads(body)["access_token"])

    def answer(self, method: str, path: str, content: Any = None) -> tuple[int, bytes, dict[str, str]]:
        body = None if content is None else json.dumps(content).encode()
        return self._service.request(method, path, body, {**self.headers, "Content-Type": "application/json"})

    def ask(self, method: str, path: str, content: Any = None) -> Any:
        status, text, _ = self.answer(method, path, content)
        assert status == 200, text
        return json.loads(text)

    def register(self) -> dict[str, Any]:
        """A new endpoint."""
        return dict(self.ask("POST", "/v3/endpoints", {"endpoint_name": "ep"}))

    def url(self) -> str:
        """The broker, with this identity's account."""
        return str(self.ask("GET", "/v2/get_amqp_result_connection_url")["connection_url"])


class Stack:
    """All three, in one directory; without an endpoint, two."""

    def __init__(
        self, directory: Path, *service_options: str, endpoint: bool = True, crates: Path | None = None
    ) -> None:
        self.directory, self.endpoint, self.crates = directory, endpoint, crates
        self.broker = RabbitMQ(directory / "broker")
        self.service = Service(
            directory / "service",
            self.broker.url,
            *("--amqp-management", self.broker.management_url),
            *service_options,
        )
        self.daemon: Daemon | None = None

    def start(self) -> None:
        self.broker.start()
        self.service.start()
        if self.endpoint:
            self.daemon = Daemon(self.directory / "gc", self.environment(), crates=self.crates)
            self.daemon.configure()
            self.daemon.start()

    def environment(self) -> dict[str, str]:
        """Of an endpoint that belongs to it."""
        return {**os.environ, **self.service.environment(), "PYTHONPATH": str(Path(__file__).parent.parent)}

    def sdk_environment(self, identity: str = ALICE) -> dict[str, str]:
        return {
            **self.service.environment(identity),
            "GLOBUS_COMPUTE_USER_DIR": str(self.directory / f"sdk-{identity[:8]}"),
        }

    def stop(self) -> None:
        with ExitStack() as parts:
            parts.callback(self.broker.close)
            parts.callback(self.service.stop)
            if self.daemon is not None:
                parts.callback(self.daemon.stop)

    def logs(self) -> str:
        daemon = self.daemon.log if self.daemon else ""
        return f"service:\n{self.service.log.read_text()[-6000:]}\ndaemon:\n{daemon}"


@contextmanager
def running(
    directory: Path, *service_options: str, endpoint: bool = True, crates: Path | None = None
) -> Iterator[Stack]:
    """A stack of a test's own; skips, or fails, where RabbitMQ is missing. The SDK in this process uses it."""
    need_rabbitmq()
    with own_network(Path(tempfile.gettempdir()) / f"prov-worker-port-5000-{os.getuid()}.lock"):
        stack = Stack(directory, *service_options, endpoint=endpoint, crates=crates)
        try:
            stack.start()
            with pytest.MonkeyPatch.context() as patch:
                for name, value in stack.sdk_environment().items():
                    patch.setenv(name, value)
                yield stack
                let_go_of_results()
        except BaseException:
            sys.stderr.write(stack.logs())
            raise
        finally:
            stack.stop()


def let_go_of_results() -> None:
    """End what the SDK keeps for the life of a process: listeners to this stack, which later executors would share."""
    from globus_compute_sdk.sdk import executor

    executor.Executor._default_task_group_id = None
    watchers = list(executor._RESULT_WATCHERS.values())
    connections = [watcher._connection for watcher in watchers]
    for watcher in watchers:
        watcher.shutdown(wait=False)
    for watcher, connection in zip(watchers, connections, strict=True):
        watcher.join(30)
        if connection is not None and not watcher.is_alive():
            connection.ioloop.close()  # left to the collector of garbage otherwise
