"""Records, series and nodes that the tests of this room share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prov_worker.crate.writer import CrateWriter
from prov_worker.model import (
    Column,
    Function,
    HardwareSnapshot,
    OutputFile,
    ProbeReport,
    Series,
    TaskRecord,
    TaskSeries,
    Usage,
    Value,
    Worker,
)
from prov_worker.settings import Settings

TASK_ID = "7a171870-b038-4174-84e1-29cdcc42f72c"
START_NS = 1_795_217_215_565_123_456
GIB = 1 << 30


def cpu_report() -> ProbeReport:
    return ProbeReport(
        "cpu",
        True,
        0.012,
        {
            "source": "lscpu -J",
            "lscpu": {"Architecture": "x86_64", "CPU(s)": "64", "Model name": "AMD EPYC 7543P 32-Core Processor"},
            "model": "AMD EPYC 7543P 32-Core Processor",
            "vendor": "AuthenticAMD",
            "architecture": "x86_64",
            "logical": 64,
            "physical_cores": 32,
            "sockets": 1,
            "numa_nodes": 4,
            "max_mhz": 2800.0,
        },
    )


def memory_report() -> ProbeReport:
    return ProbeReport(
        "memory",
        True,
        0.001,
        {
            "virtual_memory": {"total": 512 * GIB, "available": 500 * GIB, "percent": 2.3},
            "swap": {"total": 0},
            "total_bytes": 512 * GIB,
            "available_bytes": 500 * GIB,
            "cgroup_limit_bytes": 64 * GIB,
            "cgroup": "v2",
        },
    )


def storage_report() -> ProbeReport:
    return ProbeReport(
        "storage",
        True,
        0.002,
        {
            "mounts": [
                {
                    "mount_point": "/local/scratch",
                    "present": True,
                    "reason": None,
                    "mounted_at": "/local",
                    "device": "/dev/nvme0n1p1",
                    "type": "xfs",
                    "options": "rw,noatime",
                    "total_bytes": 3 * GIB,
                    "used_bytes": GIB,
                    "free_bytes": 2 * GIB,
                    "inodes_total": 100,
                    "inodes_free": 90,
                    "read_only": False,
                },
                {"mount_point": "/mnt/storage", "present": False, "reason": "no such path"},
            ]
        },
    )


def gpu_report() -> ProbeReport:
    devices = [
        {
            "index": number,
            "vendor": "nvidia",
            "model": "NVIDIA A100-SXM4-40GB",
            "uuid": f"GPU-0000000{number}",
            "memory_bytes": 40 * GIB,
            "driver": "535.154.05",
            "pci": f"0000:0{number}:00.0",
            "mig": False,
            "parent": None,
            "tiles": None,
        }
        for number in range(2)
    ]
    return ProbeReport("gpu", True, 0.1, {"devices": devices})


def environment_report() -> ProbeReport:
    return ProbeReport(
        "environment",
        True,
        0.2,
        {
            "python": {"version": "3.11.7"},
            "distributions": {"numpy": "2.1.0"},
            "loaded_modules": ["gcc/13.2", "cuda/12.4"],
            "container": None,
            "kernel": "6.4.0",
            "os": "SUSE Linux Enterprise Server 15 SP5",
        },
    )


@pytest.fixture
def snapshot() -> HardwareSnapshot:
    reports = [cpu_report(), memory_report(), storage_report(), gpu_report(), environment_report()]
    reports.append(ProbeReport("scheduler", True, 0.0, {"kind": "pbs", "job_id": "812345.polaris"}))
    return HardwareSnapshot("node-001", START_NS - 10**9, {report.name: report for report in reports})


@pytest.fixture
def make_record() -> Callable[..., TaskRecord]:
    def make(**changes: Any) -> TaskRecord:
        values: dict[str, Any] = {
            "task_id": TASK_ID,
            "attempt": 1,
            "status": "completed",
            "start_ns": START_NS,
            "end_ns": START_NS + 1_003_746_000,
            "function": Function(
                "rev_txt",
                "__main__",
                id="0b1bd6fe-5c3f-4a52-9d2b-1f0a6f6a8c01",
                doc="Reverse each line of a text file, after some work.",
                sha256="e4edf2bfbe8973160cf48d887291ca57b291ebdd42506d554feb348db08511ff",
                sha256_of="source",
                source='def rev_txt(n):\n    """Reverse each line of a text file, after some work."""\n',
                strategy="01",
                size_bytes=611,
            ),
            "worker": Worker(
                "node-001",
                4242,
                thread=None,
                rank="3",
                pool_id="c0ffee",
                block_id="0",
                cpu_affinity=[0, 1, 2, 3, 8],
                accelerators={"CUDA_VISIBLE_DEVICES": "1"},
                scheduler={"PBS_JOBID": "812345.polaris"},
                environment={"OMP_NUM_THREADS": "4", "CUDA_VISIBLE_DEVICES": "1"},
                versions={
                    "python": "3.11.7",
                    "prov-worker": "0.1.0",
                    "parsl": "2026.6.1",
                    "globus-compute-endpoint": "4.19.0",
                    "globus-compute-sdk": "4.19.0",
                },
            ),
            "endpoint_id": "e8c8b86f-a6fb-4c5b-9bc0-45423336f0c5",
            "endpoint_name": "polaris",
            "arguments": [
                Value("n", "int", size_bytes=8, sha256="ab" * 32, value=6_000_000),
                Value("data", "numpy.ndarray", size_bytes=800, length=100),
            ],
            "result": Value("return", "int", value=71_999_982_000_001_000_000),
            "usage": Usage(
                cpu_user_s=0.95,
                cpu_system_s=0.02,
                children_cpu_user_s=0.0,
                children_cpu_system_s=0.0,
                peak_rss_bytes=67_039_232,
                peak_rss_exact=True,
                children_peak_rss_bytes=0,
                read_bytes=4096,
                written_bytes=8192,
                read_chars=100,
                written_chars=200,
                minor_faults=12,
                major_faults=0,
                voluntary_switches=3,
                involuntary_switches=4,
            ),
            "outputs": [OutputFile("out/my file.txt", 37, "cd" * 32), OutputFile("huge.bin", 10**12, None)],
            "notes": [],
        }
        values.update(changes)
        return TaskRecord(**values)

    return make


@pytest.fixture
def make_series() -> Callable[..., TaskSeries]:
    def make(samples: int = 20, *, gpu: bool = False, node: bool = False, band: bool = False) -> TaskSeries:
        times = [round(0.05 * (number + 1), 3) for number in range(samples)]
        cpu: list[float | int | None] = [float(60 + 2 * number) for number in range(samples)]
        rss: list[float | int | None] = [60_000_000 + 100_000 * number for number in range(samples)]
        low = [None if value is None else value - 5 for value in cpu] if band else None
        high = [None if value is None else value + 5 for value in cpu] if band else None
        columns = {"cpu_percent": Column("percent", cpu, low, high), "rss_bytes": Column("byte", rss)}
        series = TaskSeries(task=Series(0.05, times, columns, samples, samples, 0.051))
        if node:
            node_columns = {
                "cpu_percent": Column("percent", [12.5, 13.0], subject="node"),
                "memory_used_bytes": Column("byte", [GIB, GIB], subject="node"),
                "cpu0_percent": Column("percent", [50.0, 51.0], subject="cpu:0"),
                "written_bytes": Column("byte", [0, 4096], subject="node"),
            }
            series.node = Series(0.5, [0.5, 1.0], node_columns, 2, 2, 0.5)
        if gpu:
            gpu_columns = {
                f"gpu{number}_{name}": Column(unit, values, subject=f"gpu:{number}")
                for number in (0, 7)
                for name, unit, values in (
                    ("utilization_percent", "percent", [90.0, 95.0]),
                    ("memory_used_bytes", "byte", [GIB, 2 * GIB]),
                    ("power_watts", "watt", [120.5, 250.0]),
                    ("temperature_celsius", "celsius", [40.0, None]),
                )
            }
            series.gpu = Series(0.5, [0.5, 1.0], gpu_columns, 2, 2, 0.5)
        return series

    return make


@pytest.fixture
def writer(snapshot: HardwareSnapshot) -> CrateWriter:
    return CrateWriter(snapshot, Settings(), account="jcarberry")


@pytest.fixture
def graph_of() -> Callable[[Path], dict[str, dict[str, Any]]]:
    """Entities of a crate by id; fails where an id is not unique."""

    def read(crate: Path) -> dict[str, dict[str, Any]]:
        graph = json.loads((crate / "ro-crate-metadata.json").read_text(encoding="utf-8"))["@graph"]
        entities = {entity["@id"]: entity for entity in graph}
        assert len(entities) == len(graph)
        return entities

    return read


@pytest.fixture
def edit() -> Callable[[Path, Callable[[dict[str, dict[str, Any]]], None]], None]:
    """Change the metadata of a crate: the function given gets its entities by id."""

    def change(crate: Path, how: Callable[[dict[str, dict[str, Any]]], None]) -> None:
        path = crate / "ro-crate-metadata.json"
        document = json.loads(path.read_text(encoding="utf-8"))
        entities = {entity["@id"]: entity for entity in document["@graph"]}
        how(entities)
        document["@graph"] = list(entities.values())
        path.write_text(json.dumps(document), encoding="utf-8")

    return change
