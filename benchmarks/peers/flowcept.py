"""FlowCept 1.0.3: a decorated function against the bare one, without a broker, records in a local file."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from benchmarks.harness import Bench, fresh, median, quartiles
from benchmarks.path import LENGTHS_S
from benchmarks.peers import environment_of
from benchmarks.peers.decorated import differences
from benchmarks.rows import Row

REQUIREMENTS = ("flowcept[telemetry]==1.0.3",)
VARIANTS = {"telemetry off": (), "CPU and memory telemetry": ("cpu", "mem")}
SHORT = {"telemetry off": "FlowCept, no telemetry", "CPU and memory telemetry": "FlowCept, CPU and memory"}


def run(bench: Bench) -> list[Row]:
    """Rows for a no-op in each mode, and against the length of a task."""
    python = environment_of(bench, "flowcept-1.0.3", REQUIREMENTS)
    processes, pairs = bench.pick(5, 1), bench.pick(2000, 200)
    rows = []
    for name, telemetry in VARIANTS.items():
        added: list[float] = []
        for number in range(processes):
            bench.say(f"FlowCept, {name}, process {number + 1} of {processes}")
            added += _pairs(python, telemetry, pairs, 0.0)
        note = "decorated against bare function, in pairs; two samples a task at most, no series"
        rows.append(
            Row(
                f"FlowCept 1.0.3, {name}: added to a no-op, p50",
                median(added),
                "µs",
                None,
                None,
                len(added),
                **quartiles(added),
                note=note,
            )
        )
        for length in LENGTHS_S:
            bench.say(f"FlowCept, {name}, tasks of {length:g} s")
            count = int(min(bench.pick(1000, 40), max(bench.pick(8, 3), bench.pick(8, 1) / max(length, 1e-3))))
            times = _pairs(python, telemetry, count, length)
            title = f"{SHORT[name]}: added to a task of {length:g} s"
            rows.append(Row(title, median(times), "µs", None, None, count, **quartiles(times)))
    return rows


def _pairs(python: str, telemetry: tuple[str, ...], count: int, length_s: float) -> list[float]:
    times = fresh(
        "benchmarks.peers.flowcept:pairs", python=python, telemetry=list(telemetry), count=count, length_s=length_s
    )
    return [float(value) for value in times]


def pairs(telemetry: list[str], count: int, length_s: float) -> list[float]:
    """In a fresh process of FlowCept's environment: paired differences, µs."""
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        _settings(Path(directory) / "settings.yaml", telemetry)
        from flowcept import Flowcept, flowcept_task

        def bare() -> dict[str, int]:
            if length_s:
                time.sleep(length_s)
            return {"y": 1}

        decorated = flowcept_task(bare)
        with Flowcept(workflow_name="benchmark"):
            for _ in range(50 if not length_s else 2):
                bare()
                decorated()
            added = differences(bare, decorated, count)
        os.chdir("/")
        return added


def _settings(path: Path, telemetry: list[str]) -> None:
    """The sample settings that FlowCept brings, with log, debug and broker off, and its file of records on."""
    os.environ["FLOWCEPT_SETTINGS_PATH"] = str(path)
    kinds = ("cpu", "per_cpu", "process_info", "mem", "disk", "network", "machine_info")
    lines = [
        "flowcept_version: 1.0.3",
        "project: {debug: false, json_serializer: default, replace_non_json_serializable: true,",
        "  performance_logging: false, enrich_messages: false, db_flush_mode: offline,",
        "  dump_buffer: {enabled: true, path: buffer.jsonl, append_id_to_path: false,",
        "    append_workflow_id_to_path: false, delete_previous_file: true}}",
        "log: {log_path: default, log_file_level: disable, log_stream_level: disable}",
        "telemetry_capture:",
        "  gpu: null",
        *(f"  {kind}: {'true' if kind in telemetry else 'false'}" for kind in kinds),
        "instrumentation: {enabled: true}",
        "experiment: {user: benchmark}",
        "mq: {enabled: false, type: redis, host: localhost, port: 6379, channel: interception, buffer_size: 50,",
        "  insertion_buffer_time_secs: 5, timing: false, chunk_size: -1, same_as_kvdb: false}",
        "kv_db: {enabled: false, host: localhost, port: 6379}",
        "sys_metadata: {environment_id: benchmark}",
        "extra_metadata: {place_holder: ''}",
        "db_buffer: {insertion_buffer_time_secs: 5, buffer_size: 50}",
        "databases: {lmdb: {enabled: false, path: lmdb}, mongodb: {enabled: false, host: localhost, port: 27017}}",
        "adapters: {}",
        "analytics: {}",
        "web_server: {host: 127.0.0.1, port: 8008}",
        "agent: {enabled: false}",
    ]
    path.write_text("\n".join(lines) + "\n")
