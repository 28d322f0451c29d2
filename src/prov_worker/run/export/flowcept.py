"""A run as FlowCept's buffer file: one JSON object a line, a workflow and its tasks.

Written from the record classes of FlowCept 1.0.3 (``flowcept.commons.flowcept_dataclasses``), and read back in tests by
its own ``Flowcept.read_buffer_file`` and ``Flowcept.generate_report``. FlowCept keeps two looks at a process, one at
a task's start and one at its end: the counters of the first are 0 here, so that the differences are what the task
used. What FlowCept has no field for stands in ``custom_metadata``.
"""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from pathlib import Path
from typing import Any

from prov_worker import __version__
from prov_worker.crate import vocabulary as v
from prov_worker.crate.summary import FileRef, RunStep, StepValue
from prov_worker.errors import CrateError
from prov_worker.files import atomic_write
from prov_worker.humanize import plural
from prov_worker.model import Series
from prov_worker.run.api import RunRecord
from prov_worker.run.export import Advance, chosen_steps, exporter
from prov_worker.run.model import Problem

FINISHED = "FINISHED"
ERROR = "ERROR"
ADAPTER = "prov-worker"


@exporter("flowcept", suffix="flowcept.jsonl", counts="records", summary="a buffer file that FlowCept reads")
def write_flowcept(
    run: RunRecord, target: Path, *, tasks: set[str] | None = None, advance: Advance | None = None
) -> int:
    """Write the run to a temporary file, then rename it; steps whose series cannot be read are in ``run.problems``.

    The workflow's record, which says when it began and ended, comes last: the steps are read once, in one pass.

    Args:
        run: the run.
        target: the file, ``*.jsonl``.
        tasks: ids of tasks; None takes all.
        advance: called for steps that have been read.

    Returns:
        Number of records.

    Raises:
        InputError: no task of ``tasks`` is there, or the file cannot be written.
    """
    needs: dict[str, list[str]] = defaultdict(list)
    feeds: dict[str, list[str]] = defaultdict(list)
    for link in run.links():
        if link.source not in needs[link.target]:
            needs[link.target].append(link.source)
            feeds[link.source].append(link.target)
    damaged = [problem for problem in run.problems if problem.where == str(run.path / v.LINKS_FILE)]
    workflow = _Workflow(run)
    with atomic_write(target) as path, path.open("w", encoding="utf-8") as stream:
        for step in chosen_steps(run, tasks, advance):
            with run.sparing(step):
                record = _task(run, step, workflow.id)
                record["dependencies"] = needs.get(step.key, [])
                record["dependents"] = feeds.get(step.key, [])
                line = _line(record)
                workflow.add(step)
                stream.write(line)
        stream.write(_line(workflow.record()))
    run.problems += damaged
    return workflow.count + 1


def _line(record: dict[str, Any]) -> str:
    kept = {key: value for key, value in record.items() if value is not None and value != {}}
    # In ASCII: some readers take U+2028 in a text for the end of a line.
    return json.dumps(kept, allow_nan=False, separators=(",", ":")) + "\n"


class _Workflow:
    """The record of the whole, which grows step by step."""

    def __init__(self, run: RunRecord) -> None:
        self._name = run.name
        self.id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{v.NAMESPACE}run/{run.name}"))
        self.count = 0
        self._failed: dict[str, tuple[int, bool]] = {}
        self._start: int | None = None
        self._end = 0
        self._user: str | None = None
        self._endpoints: dict[str, None] = {}
        self._machines: dict[str, dict[str, Any]] = {}

    def add(self, step: RunStep) -> None:
        """Count a step in."""
        self.count += 1
        attempt, _ = self._failed.get(step.task_id, (0, False))
        if step.attempt >= attempt:
            self._failed[step.task_id] = (step.attempt, step.failed)
        self._start = step.began_ns if self._start is None else min(self._start, step.began_ns)
        self._end = max(self._end, step.end_ns)
        self._user = self._user or step.user
        if step.endpoint_name or step.endpoint_id:
            self._endpoints[str(step.endpoint_name or step.endpoint_id)] = None
        if step.host and step.host not in self._machines:
            self._machines[step.host] = {
                "hostname": step.host,
                "cpu": {"brand_raw": step.cpu_model, "count": step.node_cpus},
                "memory": {"virtual": {"total": step.node_memory_bytes}},
                **(
                    {"gpu": {f"gpu_{n}": {"name": step.gpu_model} for n in range(step.node_gpus)}}
                    if step.node_gpus
                    else {}
                ),
            }

    def record(self) -> dict[str, Any]:
        """Return it as ``WorkflowObject.to_dict`` does."""
        return {
            "type": "workflow",
            "workflow_id": self.id,
            "name": self._name,
            "adapter_id": ADAPTER,
            "user": self._user,
            "sys_name": ", ".join(self._endpoints) or None,
            "started_at": None if self._start is None else self._start / 1e9,
            "ended_at": self._end / 1e9,
            "utc_timestamp": None if self._start is None else self._start / 1e9,
            "workflow_description": f"{plural(self.count, 'attempt')} at "
            f"{plural(len(self._failed), 'Globus Compute task')}",
            "status": ERROR if any(failed for _, failed in self._failed.values()) else FINISHED,
            "machine_info": self._machines,
            "custom_metadata": {"written_by": f"prov-worker {__version__}", "attempts": self.count},
        }


def _task(run: RunRecord, step: RunStep, workflow: str) -> dict[str, Any]:
    """Return it as ``TaskObject.to_dict`` does. An earlier attempt's id is its key, so that ids stay unique."""
    first, last = _telemetry(run, step)
    return {
        "type": "task",
        "task_id": step.key,
        "workflow_id": workflow,
        "activity_id": step.function,
        "group_id": step.task_id if step.attempt > 1 or not step.latest else None,
        "adapter_id": ADAPTER,
        "user": step.user,
        "login_name": step.user,
        "hostname": step.host,
        "node_name": step.host,
        "started_at": step.began_ns / 1e9,
        "ended_at": step.end_ns / 1e9,
        "utc_timestamp": step.end_ns / 1e9,
        "status": ERROR if step.failed else FINISHED,
        "stderr": step.error,
        "used": _data(step.arguments, [file for file in step.files if file.role == "used"]),
        "generated": _data(step.results, [file for file in step.files if file.role == "generated"]),
        "telemetry_at_start": first,
        "telemetry_at_end": last,
        "custom_metadata": {
            key: value
            for key, value in {
                "globus_compute_task_id": step.task_id,
                "globus_compute_endpoint_id": step.endpoint_id,
                "attempt": step.attempt,
                "function_id": step.function_id,
                "function_sha256": step.function_sha256,
                "crate": step.crate_id,
                "crate_metadata_sha256": step.metadata_sha256,
                "failure_kind": step.failure_kind,
                "failure_type": step.failure_type,
                "scheduler_job": step.scheduler_job,
                "annotations": step.annotations or None,
            }.items()
            if value is not None
        },
    }


def _data(values: list[StepValue], files: list[FileRef]) -> dict[str, Any]:
    """Return what was used or generated: values by name, those that were not recorded by type; and files."""
    data: dict[str, Any] = {}
    for step_value in values:
        value = step_value.value
        if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
            value = str(value)
        data[step_value.name] = value
    if files:
        data["files"] = [
            {
                key: value
                for key, value in (("path", file.path), ("size_bytes", file.size_bytes), ("sha256", file.sha256))
                if value is not None
            }
            for file in files
        ]
    return data


def _telemetry(run: RunRecord, step: RunStep) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Return looks at the worker at the task's start and end; None for both if nothing is known."""
    usage = step.usage
    end: dict[str, Any] = {}
    start: dict[str, Any] = {}
    times = {
        "user": _sum(usage, "cpu-user-s", "children-cpu-user-s"),
        "system": _sum(usage, "cpu-system-s", "children-cpu-system-s"),
    }
    _pair(start, end, "cpu_times", times)
    _pair(start, end, "io_counters", {"read_bytes": step.read_bytes, "write_bytes": step.written_bytes})
    switches = {
        "voluntary": usage.get("voluntary-switches"),
        "involuntary": usage.get("involuntary-switches"),
    }
    _pair(start, end, "num_ctx_switches", switches)
    if step.peak_rss_bytes is not None:
        end["memory"] = {"rss": step.peak_rss_bytes}
        start["memory"] = {}
    gpu_start: dict[str, Any] = {}
    gpu_end: dict[str, Any] = {}
    try:
        series = run.series(step)
    except CrateError as error:
        run.problems.append(Problem.of(step.crate, error))
    else:
        if series.task is not None:
            first, last = _ends(series.task, "rss_bytes")
            if first is not None:
                start["memory"] = {"rss": first}
            first, last = _ends(series.task, "threads")
            if last is not None:
                start["num_threads"], end["num_threads"] = first, last
        if series.gpu is not None:
            gpu_start, gpu_end = _gpus(series.gpu, step.gpu_model)
    if not end and not gpu_end:
        return None, None
    if step.pid is not None:
        start["pid"] = end["pid"] = step.pid
    return _with_gpu(start, gpu_start), _with_gpu(end, gpu_end)


def _with_gpu(process: dict[str, Any], gpu: dict[str, Any]) -> dict[str, Any]:
    return {"process": process, "gpu": gpu} if gpu else {"process": process}


def _sum(usage: dict[str, float | int | str], *keys: str) -> float | None:
    numbers = [value for key in keys if isinstance(value := usage.get(key), (int, float))]
    return float(sum(numbers)) if numbers else None


def _pair(start: dict[str, Any], end: dict[str, Any], name: str, values: dict[str, Any]) -> None:
    numbers = {key: value for key, value in values.items() if isinstance(value, (int, float))}
    if numbers:
        end[name] = numbers
        start[name] = {key: type(value)(0) for key, value in numbers.items()}


def _ends(series: Series, name: str) -> tuple[float | None, float | None]:
    column = series.columns.get(name)
    values = [value for value in column.mean if value is not None] if column is not None else []
    return (values[0], values[-1]) if values else (None, None)


#: Column of a crate's GPU series, FlowCept's name for it, and the factor to its unit (NVML's milliwatt).
_GPU_NAMES = (
    ("memory_used_bytes", "used", 1),
    ("temperature_celsius", "temperature", 1),
    ("power_watts", "power", 1000),
    ("utilization_percent", "utilization", 1),
)


def _gpus(series: Series, model: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    start: dict[str, Any] = {}
    end: dict[str, Any] = {}
    for name, column in series.columns.items():
        device = "gpu_" + (column.subject.partition(":")[2] or "0")
        for suffix, key, factor in _GPU_NAMES:
            first, last = _ends(series, name) if name.endswith(suffix) else (None, None)
            if first is not None and last is not None:
                for devices, value in ((start, first), (end, last)):
                    devices.setdefault(device, {"name": model} if model else {})[key] = value * factor
    return start, end
