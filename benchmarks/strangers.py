"""The local service while strangers on the machine press on it: what docs/security.md promises of it.

The service has no broker here, so ``/health`` answers 503; it must answer.
"""

from __future__ import annotations

import http.client
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from benchmarks.harness import Bench, BenchmarkError
from benchmarks.rows import Row, Target

MIB = 1024 * 1024
BODIES, BODY_BYTES = 30, 31 * MIB
START_S = 120.0
#: What is aimed at.
ANSWER = Target(1.0)
GROWTH = Target(100.0)


class Served(NamedTuple):
    """A service that runs."""

    pid: int
    port: int

    def health_s(self) -> float:
        """How long ``/health`` takes, from the connection to its last byte."""
        begin = time.perf_counter()
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request("GET", "/health")
            connection.getresponse().read()
        return time.perf_counter() - begin

    def resident_mib(self) -> float:
        """Its resident memory."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB


@contextmanager
def served(directory: Path) -> Iterator[Served]:
    """A service of its own, on a free port, until the block ends."""
    with socket.socket() as probe, socket.socket() as nowhere:
        for each in (probe, nowhere):
            each.bind(("127.0.0.1", 0))
        port, broker = (each.getsockname()[1] for each in (probe, nowhere))
        probe.close()
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "prov_worker", "service", "run", "--port", str(port),
                 "--db", str(directory / "service.sqlite"), "--amqp-url", f"amqp://127.0.0.1:{broker}/"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        service, deadline = Served(process.pid, port), time.monotonic() + START_S
        try:
            while True:
                with suppress(OSError):
                    service.health_s()
                    break
                if process.poll() is not None or time.monotonic() > deadline:
                    raise BenchmarkError(f"the service does not start: {(directory / 'log').read_text()[-2000:]}")
                time.sleep(0.1)
            yield service
            if process.poll() is not None:
                raise BenchmarkError(f"the service ended: {(directory / 'log').read_text()[-2000:]}")
        finally:
            process.terminate()
            process.wait(60)


def silent(service: Served, count: int, stack: ExitStack) -> str:
    """Open connections that send nothing, and as many again that send half of a request."""
    for number in range(2 * count):
        connection = stack.enter_context(closing(socket.create_connection(("127.0.0.1", service.port), 60)))
        if number % 2:
            with suppress(OSError):
                connection.sendall(b"POST /v3/functions HTTP/1.1\r\nHost: x\r\n")
    return f"{count} connections that send nothing, and {count} that send half of a request"


def bodies(service: Served, count: int, stack: ExitStack) -> str:
    """Send bodies without a token, all at once, again and again until the block ends."""
    end, begun = threading.Event(), threading.Semaphore(0)
    body = bytes(BODY_BYTES)

    def send() -> None:
        while not end.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
            # The service takes only so much of what it has refused: a slow client is cut off.
            with closing(connection), suppress(OSError, http.client.HTTPException):
                connection.connect()
                begun.release()
                connection.request("POST", "/v3/functions", body)
                connection.getresponse().read()

    threads = [threading.Thread(target=send, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    stack.callback(lambda: [thread.join(60) for thread in threads])
    stack.callback(end.set)
    for _ in threads:
        begun.acquire(timeout=60)
    return f"{count} bodies of {BODY_BYTES // MIB} MiB without a token, over and over"


def run(bench: Bench) -> list[Row]:
    """The slowest of many answers of ``/health``, and the growth of memory, under each."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    presses: tuple[tuple[str, Callable[[Served, int, ExitStack], str], int], ...] = (
        ("connections that send nothing", silent, bench.pick(2000, 100)),
        ("bodies without a token", bodies, bench.pick(BODIES, 3)),
    )
    rows = []
    try:
        for name, press, count in presses:
            directory = Path(bench.crate_dir())
            directory.mkdir(parents=True, exist_ok=True)
            with served(directory) as service, ExitStack() as stack:
                quiet_s = max(service.health_s() for _ in range(10))
                before = service.resident_mib()
                bench.say(name)
                note = press(service, count, stack)
                answers_s, most = [], before
                for _ in range(20):
                    answers_s.append(service.health_s())
                    most = max(most, service.resident_mib())
                    time.sleep(0.1)
            rows += [
                Row(f"/health, slowest of 20: {name}", max(answers_s), "s", quiet_s, ANSWER, 20,
                    note=f"{note}; stock: the slowest of ten before"),
                Row(f"service's memory added: {name}", most - before, "MiB", target=GROWTH, n=20,
                    note=f"{note}; {before:.0f} MiB before; not restarted"),
            ]  # fmt: skip
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return rows
