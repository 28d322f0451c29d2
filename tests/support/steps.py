"""Step crates of made-up tasks, published by the real writer."""

from __future__ import annotations

import hashlib
import pickle
import uuid
from pathlib import Path
from typing import Any

from prov_worker.crate.writer import CrateWriter
from prov_worker.model import (
    COMPLETED,
    FAILED,
    Column,
    Failure,
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

START_NS = 1_790_000_000_000_000_000
SECOND = 1_000_000_000
ENDPOINT = "3f2b7b0e-5f0c-4c58-9a43-0d2f4a6f1cff"
VERSIONS = {"python": "3.11.7", "globus-compute-endpoint": "4.19.0", "prov-worker": "0.1.0"}


def task_id(number: int) -> str:
    return str(uuid.UUID(int=0x7A171870B03841740000000000000000 + number, version=4))


def pickled(value: Any) -> str:
    """The sha256 that the recorder takes of plain data."""
    return hashlib.sha256(pickle.dumps(value, 4)).hexdigest()


class Crates:
    """Publishes crates into a directory; ``offset_s`` and ``wall_s`` are seconds of the run."""

    def __init__(self, directory: Path, host: str = "node01", settings: Settings | None = None) -> None:
        self.directory = directory
        probes = {
            "cpu": ProbeReport("cpu", True, 0.01, {"model": "EPYC 7543P", "logical": 64}),
            "memory": ProbeReport("memory", True, 0.01, {"total_bytes": 512 << 30}),
        }
        self.host = host
        self._writer = CrateWriter(HardwareSnapshot(host, START_NS, probes), settings or Settings(), "jcarberry")

    def add(
        self,
        number: int,
        function: str = "work",
        *,
        offset_s: float = 0.0,
        wall_s: float = 1.0,
        attempt: int = 1,
        error: str | None = None,
        arguments: list[Value] | None = None,
        result: Value | None = None,
        outputs: list[OutputFile] | None = None,
        sampled: bool = False,
        **changes: Any,
    ) -> Path:
        start = START_NS + int(offset_s * SECOND)
        failure = None
        if error is not None:
            failure = Failure("exception", error, "ValueError", f"Traceback\nValueError: {error}\n")
        values: dict[str, Any] = {
            "task_id": task_id(number),
            "attempt": attempt,
            "status": COMPLETED if error is None else FAILED,
            "start_ns": start,
            "end_ns": start + int(wall_s * SECOND),
            "function": Function(function, "__main__", sha256=hashlib.sha256(function.encode()).hexdigest()),
            "worker": Worker(
                self.host, 4242 + number % 4, rank=str(number % 4), cpu_affinity=[0, 1], versions=VERSIONS
            ),
            "endpoint_id": ENDPOINT,
            "endpoint_name": "laptop",
            "arguments": arguments or [],
            "result": result if error is None else None,
            "failure": failure,
            "outputs": outputs or [],
            "usage": Usage(cpu_user_s=wall_s * 0.9, cpu_system_s=0.01, peak_rss_bytes=100 << 20, peak_rss_exact=True),
        }
        values.update(changes)
        return self._writer.publish(
            TaskRecord(**values), self._series(wall_s) if sampled else None, None, self.directory
        )

    @staticmethod
    def _series(wall_s: float) -> TaskSeries:
        count = max(1, int(wall_s / 0.05))
        columns = {
            "cpu_percent": Column("percent", [90.0] * count),
            "rss_bytes": Column("byte", [100 << 20] * count),
        }
        offsets = [0.05 * (at + 1) for at in range(count)]
        return TaskSeries(Series(0.05, offsets, columns, count, count, 0.05))


def text(name: str, content: str) -> Value:
    """A text as the recorder describes it."""
    data = content.encode()
    return Value(name, "str", len(data), None, hashlib.sha256(data).hexdigest())
