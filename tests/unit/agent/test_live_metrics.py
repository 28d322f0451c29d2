"""Numbers for Prometheus: read as Prometheus' own library reads them."""

from __future__ import annotations

import os
import socket
import stat
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from prov_worker.agent.live.exposition import METRICS, exposition_path, render, write_exposition
from prov_worker.agent.live.port import MetricsPort
from prov_worker.agent.live.tally import Tally
from prov_worker.counters import Usage
from prov_worker.errors import InputError, SettingsError
from prov_worker.model import FAILED, Function, TaskRecord, Worker
from prov_worker.settings import Settings
from support.event_servers import free_port

HOSTILE = '/scratch/a "b"\\c\nd'
TASKS = [
    {"cpu_percent": 150.0, "rss_bytes": 1 << 20, "elapsed_s": 2.0},
    {"cpu_percent": None, "rss_bytes": None, "elapsed_s": 9.5},
]


def document(tasks: list[dict[str, Any]], more: int = 0) -> dict[str, Any]:
    crates = {"published": 1, "waiting": 3, "stuck": 1}
    return {"tasks": tasks, "more": more, "workers": 5, "crates": crates, "written": 1_795_000_000.25}


def values(text: str) -> dict[tuple[str, str], float]:
    """Values by metric and the label that it has of its own."""
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    for sample in samples:
        assert sample.labels.pop("crate_dir") == HOSTILE
        assert sample.labels.pop("user") == str(os.geteuid())
    return {
        (sample.name.removeprefix("prov_worker_node_"), "".join(sample.labels.values())): sample.value
        for sample in samples
    }


def test_what_runs_and_what_ended_is_counted() -> None:
    tally = Tally()
    usage = Usage(cpu_sampled_s=2.5, cpu_energy_joules=40.0, gpu_energy_joules=7.0)
    record = TaskRecord("a", 1, FAILED, 0, 3 * 10**9, Function("f"), Worker("host", 1), usage=usage)
    tally.add(record)
    tally.add(record)
    numbers = values(render(document(TASKS, more=1), tally, HOSTILE))
    assert numbers == {
        ("tasks_running", ""): 3,
        ("workers", "busy"): 3,
        ("workers", "idle"): 2,
        ("tasks_cpus", ""): 1.5,
        ("tasks_memory_bytes", ""): 1 << 20,
        ("longest_task_seconds", ""): 9.5,
        ("tasks_total", "completed"): 0,
        ("tasks_total", "failed"): 2,
        ("task_seconds_total", ""): 6,
        ("task_cpu_seconds_total", ""): 5,
        ("task_energy_joules_total", "cpu"): 80,
        ("task_energy_joules_total", "gpu"): 14,
        ("crates_waiting", ""): 3,
        ("crates_refused", ""): 1,
        ("last_look_timestamp_seconds", ""): 1_795_000_000.25,
    }
    assert {name for name, _ in numbers} == set(METRICS)


def test_labels_do_not_grow_with_tasks() -> None:
    few, many = (render(document(TASKS * count), Tally(), HOSTILE).count("\n") for count in (1, 500))
    assert few == many


def test_the_exporter_may_read_the_file_and_nobody_else_write_it(tmp_path: Path) -> None:
    path = exposition_path(str(tmp_path), "/dev/shm/prov-worker-1/0123")
    before = os.umask(0o077)
    try:
        write_exposition(path, "a 1\n")
        write_exposition(path, "a 2\n")
    finally:
        os.umask(before)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert path.suffix == ".prom"
    assert path.read_text() == "a 2\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    with pytest.raises(InputError, match="is not a directory"):
        write_exposition(tmp_path / "none" / "a.prom", "a 1\n")


@pytest.fixture
def port() -> Iterator[int]:
    number = free_port()
    served = MetricsPort(number, lambda: "a 1\n")
    yield number
    with pytest.raises(OSError, match="in use"):
        MetricsPort(number, lambda: "")
    served.close()
    MetricsPort(number, lambda: "").close()  # it can be had again at once


def ask(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request)
        data = b""
        while chunk := connection.recv(1 << 16):
            data += chunk
    return data


def test_the_port_answers_whoever_is_here(port: int) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as response:
        assert response.read() == b"a 1\n"
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert ask(port, b"HEAD /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n").endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"404"),
        (b"POST /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", b"405"),
        (b"GET /metrics HTTP/1.1\r\nHost: evil.example:80\r\n\r\n", b"421"),
        (b"GET /metrics HTTP/1.1\r\n\r\n", b"421"),
        (b"\0\r\n\r\n", b"405"),
    ],
)
def test_the_port_answers_nothing_else(port: int, request_: bytes, status: bytes) -> None:
    assert ask(port, request_).split(b" ")[1] == status


def test_who_says_nothing_at_the_port_holds_nobody_up_for_long(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)):
        assert ask(port, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").endswith(b"a 1\n")


@pytest.mark.parametrize("value", [0, 65536, "9100", True, 1.5])
def test_what_is_no_port(value: Any) -> None:
    with pytest.raises(SettingsError, match="metrics_port: expected the number of a port"):
        Settings.from_mapping({"metrics_port": value})
    with pytest.raises(SettingsError, match="expected a whole number, got 'x'"):
        Settings.from_environ({"PROV_WORKER_METRICS_PORT": "x"})


def test_the_directory_is_a_setting() -> None:
    assert Settings.from_mapping({"metrics_dir": "/var/lib/metrics"}).metrics_dir == "/var/lib/metrics"
    assert Settings.from_environ({"PROV_WORKER_METRICS_DIR": "/var/lib/metrics"}).metrics_dir == "/var/lib/metrics"
    assert "metrics_dir" not in Settings().to_mapping()
