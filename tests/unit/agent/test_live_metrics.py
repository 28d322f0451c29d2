"""Numbers for Prometheus: read as Prometheus' own library reads them."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from prov_worker.agent.live.exposition import METRICS, exposition_path, render, write_exposition
from prov_worker.agent.live.tally import Tally
from prov_worker.counters import Usage
from prov_worker.errors import InputError
from prov_worker.model import FAILED, Function, TaskRecord, Worker
from prov_worker.settings import Settings

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
    with pytest.raises(InputError, match="no directory"):
        write_exposition(tmp_path / "none" / "a.prom", "a 1\n")


def test_the_directory_is_a_setting() -> None:
    assert Settings.from_mapping({"metrics_dir": "/var/lib/metrics"}).metrics_dir == "/var/lib/metrics"
    assert Settings.from_environ({"PROV_WORKER_METRICS_DIR": "/var/lib/metrics"}).metrics_dir == "/var/lib/metrics"
    assert "metrics_dir" not in Settings().to_mapping()
