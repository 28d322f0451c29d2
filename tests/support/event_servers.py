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
    """Redis with a password, that writes each command to disk before it answers."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        if shutil.which("redis-server") is None:
            pytest.skip("redis-server is not installed")
        self._directory, self._port = directory, free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0?stream=prov"

    def start(self) -> None:
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self._port), "--bind", "127.0.0.1", "--requirepass", PASSWORD,
             "--appendonly", "yes", "--appendfsync", "always", "--dir", str(self._directory), "--save", ""],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        self.until(lambda: self._client().ping())

    def ids(self) -> list[str]:
        return [fields[b"id"].decode() for _, fields in self._client().xrange("prov")]

    def fill(self) -> None:
        self._client().config_set("maxmemory", 1)

    def make_room(self) -> None:
        self._client().config_set("maxmemory", 0)

    def _client(self) -> Any:
        import redis

        return redis.Redis(port=self._port, password=PASSWORD, socket_timeout=10)


class PostgresqlServer(EventServer):
    """PostgreSQL with a database ``prov`` and a user ``prov`` with a password."""

    def __init__(self) -> None:
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
    """librdkafka's own mock cluster in a process of its own: it speaks Kafka, and holds its messages in memory.

    Its brokers take ports of their own, so it is not killed and started again but stopped and continued.
    https://github.com/confluentinc/librdkafka/blob/master/src/rdkafka_mock.h
    """

    _CODE = (
        "import json, sys, time; from confluent_kafka import Producer; "
        "p = Producer({'bootstrap.servers': 'x', 'test.mock.num.brokers': 2, 'log_level': 0}); "
        "print(json.dumps([f'{b.host}:{b.port}' for b in p.list_topics(timeout=30).brokers.values()]), flush=True); "
        "sys.stdin.read()"
    )

    def __init__(self) -> None:
        super().__init__()
        pytest.importorskip("confluent_kafka")
        self._hosts = ""
        self._cluster: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self._cluster is None:
            self._cluster = subprocess.Popen(
                [sys.executable, "-c", self._CODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            assert self._cluster.stdout is not None
            self._hosts = ",".join(json.loads(self._cluster.stdout.readline()))
            self.url = f"kafka://{self._hosts}/prov"
        self._cluster.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        if self._cluster is not None:
            self._cluster.send_signal(signal.SIGSTOP)

    def ids(self) -> list[str]:
        from confluent_kafka import Consumer, TopicPartition

        consumer = Consumer({"bootstrap.servers": self._hosts, "group.id": "test", "enable.auto.commit": False})
        partitions = consumer.list_topics("prov", timeout=30).topics["prov"].partitions
        ends = {number: consumer.get_watermark_offsets(TopicPartition("prov", number))[1] for number in partitions}
        consumer.assign([TopicPartition("prov", number, 0) for number in partitions])
        names = []
        deadline = time.monotonic() + _PATIENCE_S
        while len(names) < sum(ends.values()) and time.monotonic() < deadline:
            for message in consumer.consume(500, timeout=0.5):
                names.append(json.loads(message.value())["id"])
        consumer.close()
        return names

    def close(self) -> None:
        if self._cluster is not None:
            self._cluster.kill()
            self._cluster.communicate()


class RabbitServer(EventServer):
    """RabbitMQ, whose user guest has the password guest."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        from rabbitmq import RabbitMQ, need_rabbitmq

        need_rabbitmq()
        self.broker = RabbitMQ(directory)
        self.url = f"amqp://guest@127.0.0.1:{self.broker.port}/%2F?stream=prov"

    def start(self) -> None:
        self.broker.start()

    def kill(self) -> None:
        self.broker.stop(signal.SIGKILL)

    def fill(self) -> None:
        self.broker.evaluate("vm_memory_monitor:set_vm_memory_high_watermark(0.0001).")
        time.sleep(2.0)  # it looks each second

    def make_room(self) -> None:
        self.broker.evaluate("vm_memory_monitor:set_vm_memory_high_watermark(0.6).")

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
