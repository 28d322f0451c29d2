"""A RabbitMQ of the tests' own: free ports, a directory of its own, nothing of it left behind."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pika
import pytest
import requests
from pika.adapters.blocking_connection import BlockingChannel

from support.commands import run_program

HOW = "RabbitMQ is not installed (on Debian and Ubuntu: apt-get install --no-install-recommends rabbitmq-server)"
#: Debian's wrapper in the PATH changes the user and refuses others; this is the script behind it.
SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


def server_script() -> Path | None:
    """RabbitMQ's own start script, where there is one."""
    if SERVER.exists():
        return SERVER
    path = shutil.which("rabbitmq-server")
    return Path(path) if path else None


def need_rabbitmq() -> None:
    """Skip where RabbitMQ is missing; fail where it is demanded."""
    if server_script() is None:
        if os.environ.get("PROV_TEST_REQUIRE_RABBITMQ", "0") not in ("", "0"):
            pytest.fail(f"{HOW}, and PROV_TEST_REQUIRE_RABBITMQ is set", pytrace=False)
        pytest.skip(HOW)


def free_port() -> int:
    """A port that stays free: below those that the system gives to outgoing connections while a broker restarts."""
    while True:
        port = random.randrange(12_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class RabbitMQ:
    """A broker that is started and stopped.

    Args:
        directory: of all that it writes.
        settings: more lines of its ``rabbitmq.conf``; those that are set when it is started hold.
    """

    def __init__(self, directory: Path, settings: str = "") -> None:
        self.directory, self.settings = directory, settings
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.port, self._dist, self._epmd, self._management = (free_port() for _ in range(4))
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/%2F"

    @property
    def management_url(self) -> str:
        """Its management API."""
        return f"http://127.0.0.1:{self._management}/"

    def manage(self, method: str, path: str, content: Any = None) -> Any:
        """Ask the management API, as its administrator."""
        answer = requests.request(
            method, f"{self.management_url}api/{path}", json=content, auth=("guest", "guest"), timeout=60
        )
        assert answer.ok, (method, path, answer.text)
        return answer.json() if answer.content else None

    @contextmanager
    def channel(self) -> Iterator[BlockingChannel]:
        """A channel of its administrator."""
        connection = pika.BlockingConnection(pika.URLParameters(self.url))
        try:
            yield connection.channel()
        finally:
            connection.close()

    def start(self) -> None:
        script = server_script()
        assert script is not None
        plugins = self.directory / "plugins"
        plugins.write_text("[rabbitmq_management].\n")
        config = self.directory / "rabbitmq.conf"
        config.write_text(
            "consumer_timeout = 86400000\nvm_memory_high_watermark.relative = 0.6\ndisk_free_limit.absolute = 50MB\n"
            f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {self._management}\n"
            f"management_agent.disable_metrics_collector = true\n{self.settings}"
        )
        with (self.directory / "console").open("ab") as console:
            self.process = subprocess.Popen(
                [str(script)],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                env=self._environment(plugins, config),
                start_new_session=True,
            )
        self.wait()

    def evaluate(self, expression: str) -> str:
        """Have the broker evaluate an Erlang expression."""
        script = server_script()
        assert script is not None
        environment = self._environment(self.directory / "plugins", self.directory / "rabbitmq.conf")
        return run_program(script.with_name("rabbitmqctl"), "eval", expression, env=environment, check=True).stdout

    def _environment(self, plugins: Path, config: Path) -> dict[str, str]:
        return {
            **os.environ,
            "HOME": str(self.directory),
            "ERL_CRASH_DUMP": str(self.directory / "erl_crash.dump"),
            "RABBITMQ_NODENAME": f"t{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._dist),
            "RABBITMQ_MNESIA_BASE": str(self.directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.directory / "log"),
            "RABBITMQ_PID_FILE": str(self.directory / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
            "RABBITMQ_CONFIG_FILE": str(config.with_suffix("")),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }

    def wait(self, limit_s: float = 180.0) -> None:
        deadline = time.monotonic() + limit_s
        while True:
            try:
                pika.BlockingConnection(pika.URLParameters(self.url)).close()
                return
            except (pika.exceptions.AMQPError, OSError):
                assert self.process is not None
                assert self.process.poll() is None, (self.directory / "console").read_text()
                assert time.monotonic() < deadline, (self.directory / "console").read_text()
                time.sleep(0.2)

    def stop(self, with_signal: int = signal.SIGTERM) -> None:
        if self.process is None:
            return
        process, self.process = self.process, None
        try:
            os.killpg(process.pid, with_signal)
            process.wait(180)
        except ProcessLookupError:
            pass
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise

    def close(self) -> None:
        """Stop, with the port mapper that Erlang has left behind."""
        try:
            self.stop()
        finally:
            self._end_port_mapper()

    def _end_port_mapper(self) -> None:
        for status in Path("/proc").glob("[0-9]*/environ"):
            try:
                if f"ERL_EPMD_PORT={self._epmd}\0".encode() in status.read_bytes():
                    os.kill(int(status.parent.name), signal.SIGKILL)
            except OSError:
                continue


@contextmanager
def broker_running(directory: Path, settings: str = "") -> Iterator[RabbitMQ]:
    """A broker that ends with the block; the test is skipped if there is none."""
    need_rabbitmq()
    broker = RabbitMQ(directory, settings)
    try:
        broker.start()
        yield broker
    finally:
        broker.close()
