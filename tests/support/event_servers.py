"""Servers of queues and databases that a test starts, kills, fills and starts again: free ports, files of their own."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import psutil
import pytest

from support.certificates import Authority
from support.kafka_front import KafkaFront

#: Of all of them; it must be in no message.
PASSWORD = "geheim-und-lang"
_PATIENCE_S = 60.0


def free_port() -> int:
    """Return a port that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class EventServer(ABC):
    """A server that can be started again with what it has on disk.

    Attributes:
        url: address of the sink, without a password.
        process: of the server; None while it does not run.
    """

    url: str

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def start(self) -> None:
        """Start it, and wait until it answers."""

    @abstractmethod
    def ids(self) -> list[str]:
        """Return the ids of the events that it has, each as often as it has it."""

    def kill(self) -> None:
        """Kill it."""
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait(_PATIENCE_S)

    def fill(self) -> None:
        """Have it take no more."""
        raise NotImplementedError

    def make_room(self) -> None:
        """Have it take more again."""
        raise NotImplementedError

    def close(self) -> None:
        """End it, and remove what it has on disk."""
        self.kill()

    def until(self, ready: Any) -> None:
        """Wait until a call does not raise; fail with what it raised."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                ready()
                return
            except Exception:
                if time.monotonic() > deadline or (self.process is not None and self.process.poll() is not None):
                    raise
                time.sleep(0.05)


class RedisServer(EventServer):
    """Redis with a password, that writes each command to disk before it answers.

    Args:
        directory: of its files.
        authority: has its port with TLS, and asks for a certificate.
    """

    def __init__(self, directory: Path, authority: Authority | None = None) -> None:
        super().__init__()
        if shutil.which("redis-server") is None:
            pytest.skip("redis-server is not installed")
        self._directory, self._port = directory, free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0?stream=prov"
        self._options, self._client_options = ["--port", str(self._port)], {}
        if authority is not None:
            self.url = f"rediss://127.0.0.1:{self._port}/0?stream=prov&{authority.parameters()}"
            self._options = [
                "--port", "0", "--tls-port", str(self._port), "--tls-ca-cert-file", str(authority.path),
                "--tls-cert-file", str(authority.server[0]), "--tls-key-file", str(authority.server[1]),
            ]  # fmt: skip
            self._client_options = {
                "ssl": True, "ssl_ca_certs": str(authority.path), "ssl_certfile": str(authority.client[0]),
                "ssl_keyfile": str(authority.client[1]),
            }  # fmt: skip

    def start(self) -> None:
        self.process = subprocess.Popen(
            ["redis-server", *self._options, "--bind", "127.0.0.1", "--requirepass", PASSWORD,
             "--appendonly", "yes", "--appendfsync", "always", "--dir", str(self._directory), "--save", ""],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        self.until(lambda: self._client().ping())

    def ids(self) -> list[str]:
        return [fields[b"id"].decode() for _, fields in self._client().xrange("prov")]

    def clocks(self) -> dict[str, dict[str, float]]:
        """Return what was noted of clocks, by host."""
        return {host.decode(): json.loads(note) for host, note in self._client().hgetall("prov:clock").items()}

    def fill(self) -> None:
        self._client().config_set("maxmemory", 1)

    def make_room(self) -> None:
        self._client().config_set("maxmemory", 0)

    def _client(self) -> Any:
        import redis

        return redis.Redis("127.0.0.1", self._port, password=PASSWORD, socket_timeout=10, **self._client_options)


class PostgresqlServer(EventServer):
    """PostgreSQL with a database ``prov`` and a user ``prov`` with a password.

    Args:
        authority: has it with TLS.
    """

    def __init__(self, authority: Authority | None = None) -> None:
        super().__init__()
        programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        if not programs:
            pytest.skip("PostgreSQL is not installed (on Debian and Ubuntu: apt-get install postgresql)")
        self._programs = Path(programs[-1])
        self._port = free_port()
        self._directory = Path(tempfile.mkdtemp(prefix="prov-postgresql-"))  # below nobody's private directory
        self._user: str | None = None
        if os.geteuid() == 0:  # which PostgreSQL refuses
            self._user = "postgres"
            entry = pwd.getpwnam(self._user)
            os.chown(self._directory, entry.pw_uid, entry.pw_gid)
        self.url = f"postgresql://prov@127.0.0.1:{self._port}/prov"
        password = self._directory / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        subprocess.run(
            [self._programs / "initdb", "-D", self._data, "-U", "prov", "-A", "scram-sha-256", "--pwfile", password,
             "--no-sync", "--no-locale", "-E", "UTF8"],
            check=True, capture_output=True, user=self._user, cwd=self._directory, timeout=_PATIENCE_S,
        )  # fmt: skip
        if authority is not None:
            self.url += f"?sslmode=verify-full&sslrootcert={authority.path}"
            for path, name in zip(authority.server, ("server.crt", "server.key"), strict=True):
                shutil.copyfile(path, self._data / name)
                (self._data / name).chmod(0o600)
                if self._user is not None:
                    shutil.chown(self._data / name, self._user)
            with (self._data / "postgresql.conf").open("a") as settings:
                settings.write("ssl = on\n")
            (self._data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")

    @property
    def _data(self) -> Path:
        return self._directory / "data"

    def start(self) -> None:
        with (self._directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._data, "-h", "127.0.0.1", "-p", str(self._port), "-k", ""],
                user=self._user, cwd=self._directory, stdout=log, stderr=log,
            )  # fmt: skip
        self.until(lambda: self.query("SELECT 1", database="postgres"))
        if not self.query("SELECT 1 FROM pg_database WHERE datname = 'prov'", database="postgres"):
            self.query("CREATE DATABASE prov", database="postgres")

    def kill(self) -> None:
        """Kill it with all its processes: one that is left would write beside the next server, and ruin its data."""
        children = [] if self.process is None else psutil.Process(self.process.pid).children(recursive=True)
        super().kill()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(children, timeout=_PATIENCE_S)

    def query(self, text: str, database: str = "prov") -> list[Any]:
        """Ask the database."""
        import psycopg

        with psycopg.connect(
            host="127.0.0.1", port=self._port, user="prov", password=PASSWORD, dbname=database, autocommit=True
        ) as connection:
            cursor = connection.execute(text)
            return cursor.fetchall() if cursor.description is not None else []

    def ids(self) -> list[str]:
        return [name for (name,) in self.query("SELECT id FROM event")]

    def fill(self) -> None:
        self._set("ALTER DATABASE prov SET default_transaction_read_only = on")

    def make_room(self) -> None:
        self._set("ALTER DATABASE prov SET default_transaction_read_only = off")

    def _set(self, text: str) -> None:
        self.query(text, database="postgres")
        self.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'prov'", database="postgres")

    def close(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(_PATIENCE_S)
            self.process = None
        shutil.rmtree(self._directory, ignore_errors=True)


class KafkaServer(EventServer):
    """librdkafka's own mock cluster in a process of its own, behind a port that outlives it.

    It holds its messages in memory. What it had when it was killed is remembered here, as brokers have it on disk.

    Args:
        authority: has the port with TLS and SASL, and asks for a certificate.
    """

    def __init__(self, authority: Authority | None = None) -> None:
        super().__init__()
        pytest.importorskip("confluent_kafka")
        self._front = KafkaFront(None if authority is None else authority.context(), authority and ("prov", PASSWORD))
        self._before: list[str] = []
        self.url = f"kafka://127.0.0.1:{self._front.port}/prov"
        if authority is not None:
            self.url = f"kafka://prov@127.0.0.1:{self._front.port}/prov?tls=1&{authority.parameters()}"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("kafka_cluster.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self._front.target = int(self._answer())

    def kill(self) -> None:
        if self.process is not None:
            self._before = self.ids()
            self._front.target = 0
            self._end()

    def fill(self) -> None:
        self._wish("full")

    def make_room(self) -> None:
        self._wish("room")

    @property
    def refused(self) -> int:
        """Logins that were wrong."""
        return self._front.refused

    def _wish(self, text: str) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write(f"{text}\n".encode())
        self.process.stdin.flush()
        assert self._answer() == "done"

    def _answer(self) -> str:
        assert self.process is not None
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode().strip()

    def ids(self) -> list[str]:
        from confluent_kafka import Consumer, TopicPartition

        address = f"127.0.0.1:{self._front.target}"  # past what the port asks for
        consumer = Consumer({"bootstrap.servers": address, "group.id": "test", "enable.auto.commit": False})
        partitions = consumer.list_topics("prov", timeout=30).topics["prov"].partitions
        ends = {number: consumer.get_watermark_offsets(TopicPartition("prov", number))[1] for number in partitions}
        consumer.assign([TopicPartition("prov", number, 0) for number in partitions])
        names = list(self._before)
        wanted = len(names) + sum(ends.values())
        deadline = time.monotonic() + _PATIENCE_S
        while len(names) < wanted and time.monotonic() < deadline:
            for message in consumer.consume(500, timeout=0.5):
                names.append(json.loads(message.value())["id"])
        consumer.close()
        return names

    def close(self) -> None:
        self._front.close()
        self._end()

    def _end(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.communicate()


class RabbitServer(EventServer):
    """RabbitMQ with a user ``prov`` that may make and write to the stream ``prov``, and no more.

    Args:
        directory: of its files.
        authority: has another port of it with TLS, which asks for a certificate.
    """

    def __init__(self, directory: Path, authority: Authority | None = None) -> None:
        super().__init__()
        from rabbitmq import RabbitMQ, need_rabbitmq
        from rabbitmq import free_port as lasting_port

        need_rabbitmq()
        settings = ""
        if authority is not None:
            port = lasting_port()
            certificate, key = authority.server
            settings = (
                f"listeners.ssl.1 = 127.0.0.1:{port}\nssl_options.cacertfile = {authority.path}\n"
                f"ssl_options.certfile = {certificate}\nssl_options.keyfile = {key}\n"
                "ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n"
            )
        self.broker = RabbitMQ(directory, settings)
        self.url = f"amqp://prov@127.0.0.1:{self.broker.port}/%2F?stream=prov"
        if authority is not None:
            self.url = f"amqps://prov@127.0.0.1:{port}/%2F?stream=prov&{authority.parameters()}"

    def start(self) -> None:
        self.broker.start()
        self.broker.manage("PUT", "users/prov", {"password": PASSWORD, "tags": ""})
        # As docs/stream.md says it.
        rights = {"configure": "^prov$", "write": r"^(prov|amq\.default)$", "read": "^$"}
        self.broker.manage("PUT", "permissions/%2F/prov", rights)

    def kill(self) -> None:
        self.broker.stop(signal.SIGKILL)

    def fill(self) -> None:
        self._limits("0.0001", "1000000GB")
        self.until(lambda: self._need_alarms("memory", "disk"))

    def make_room(self) -> None:
        self._limits("0.6", "50MB")
        self.until(self._need_alarms)

    def _limits(self, memory: str, disk: str) -> None:
        self.broker.evaluate(f"vm_memory_monitor:set_vm_memory_high_watermark({memory}).")
        self.broker.evaluate(f'rabbit_disk_monitor:set_disk_free_limit("{disk}").')

    def _need_alarms(self, *kinds: str) -> None:
        """Fail unless these alarms are raised, and no others; the broker looks now and then."""
        raised = self.broker.evaluate("rabbit_alarm:get_alarms().")
        assert [kind in raised for kind in ("memory", "disk")] == [kind in kinds for kind in ("memory", "disk")], raised

    def ids(self) -> list[str]:
        names: list[str] = []
        with self.broker.channel() as channel:
            channel.basic_qos(prefetch_count=1000)
            for method, properties, _ in channel.consume(
                "prov", arguments={"x-stream-offset": "first"}, inactivity_timeout=3
            ):
                if method is None:
                    break
                names.append(properties.message_id)
                channel.basic_ack(method.delivery_tag)
            channel.cancel()
        return names

    def close(self) -> None:
        self.broker.close()
