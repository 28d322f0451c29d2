"""Step crates of tasks that never ran, published by the writer that the agent uses."""

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
    """Return the task id of a number, a UUID."""
    return str(uuid.UUID(int=0x7A171870B03841740000000000000000 + number, version=4))


def pickled_sha256(value: Any) -> str:
    """Return the sha256 that the recorder takes of plain data."""
    return hashlib.sha256(pickle.dumps(value, 4)).hexdigest()


def node(host: str = "node01", *, cpus: int = 64, memory_bytes: int = 512 << 30) -> HardwareSnapshot:
    """Return a hardware snapshot with the probes ``cpu`` and ``memory``."""
    probes = {
        "cpu": ProbeReport("cpu", True, 0.01, {"model": "EPYC 7543P", "logical": cpus}),
        "memory": ProbeReport("memory", True, 0.01, {"total_bytes": memory_bytes, "available_bytes": memory_bytes}),
    }
    return HardwareSnapshot(host, START_NS, probes)


def sampled_series(wall_s: float, *, percent: float = 90.0, rss_bytes: int = 100 << 20) -> TaskSeries:
    """Return the series of a task with 20 even samples a second, at least one."""
    count = max(1, int(wall_s / 0.05))
    columns = {"cpu_percent": Column("percent", [percent] * count), "rss_bytes": Column("byte", [rss_bytes] * count)}
    offsets = [0.05 * (number + 1) for number in range(count)]
    return TaskSeries(Series(0.05, offsets, columns, count, count, 0.05))


class CrateFactory:
    """Publishes step crates of tasks that never ran.

    Args:
        directory: where the crates come; made with the first one.
        host: name of the node.
        settings: of the recording, such as licence and author.
        account: that ran the tasks.
        snapshot: hardware of the node; None makes one up.
        share: crates share inodes as those of an agent do: who changes a file in place changes it in all.
    """

    def __init__(
        self,
        directory: Path,
        host: str = "node01",
        settings: Settings | None = None,
        account: str = "jcarberry",
        *,
        share: bool = False,
        snapshot: HardwareSnapshot | None = None,
    ) -> None:
        self.directory = directory
        self.host = host
        self._writer = CrateWriter(snapshot or node(host), settings or Settings(), account, share=share)

    def add(
        self,
        number: int,
        function: str | Function = "work",
        *,
        offset_s: float = 0.0,
        wall_s: float = 1.0,
        attempt: int = 1,
        error: str | None = None,
        failure: Failure | None = None,
        arguments: list[Value] | None = None,
        result: Value | None = None,
        outputs: list[OutputFile] | None = None,
        sampled: bool = False,
        series: TaskSeries | None = None,
        **changes: Any,
    ) -> Path:
        """Publish the crate of one attempt at a task.

        Args:
            number: of the task; its id follows from it (:func:`task_id`).
            function: the function, or its name.
            offset_s: seconds from the start of the run to the start of the attempt.
            wall_s: seconds that it took.
            attempt: number of the attempt.
            error: text of the ``ValueError`` by which it failed; None for an attempt that completed.
            failure: how it failed otherwise.
            arguments: what it was called with.
            result: what it returned; not recorded if it failed.
            outputs: files that it left in its sandbox.
            sampled: whether it has a series, one of :func:`sampled_series`.
            series: another one.
            changes: other fields of :class:`prov_worker.model.TaskRecord`.

        Returns:
            Path of the crate.
        """
        start = START_NS + int(offset_s * SECOND)
        if error is not None:
            failure = Failure("exception", error, "ValueError", f"Traceback\nValueError: {error}\n")
        if isinstance(function, str):
            function = Function(function, "__main__", sha256=hashlib.sha256(function.encode()).hexdigest())
        values: dict[str, Any] = {
            "task_id": task_id(number),
            "attempt": attempt,
            "status": COMPLETED if failure is None else FAILED,
            "start_ns": start,
            "end_ns": start + int(wall_s * SECOND),
            "function": function,
            "worker": Worker(
                self.host, 4242 + number % 4, rank=str(number % 4), cpu_affinity=[0, 1], versions=VERSIONS
            ),
            "endpoint_id": ENDPOINT,
            "endpoint_name": "laptop",
            "arguments": arguments or [],
            "result": result if failure is None else None,
            "failure": failure,
            "outputs": outputs or [],
            "usage": Usage(cpu_user_s=wall_s * 0.9, cpu_system_s=0.01, peak_rss_bytes=100 << 20, peak_rss_exact=True),
        }
        values.update(changes)
        if sampled and series is None:
            series = sampled_series(wall_s)
        return self._writer.publish(TaskRecord(**values), series, None, self.directory)


def text_value(name: str, content: str) -> Value:
    """Return a text as the recorder describes it, with size and sha256."""
    data = content.encode()
    return Value(name, "str", len(data), None, hashlib.sha256(data).hexdigest())
