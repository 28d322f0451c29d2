"""Steps as rows of tables, the same for data frames, Parquet and CSV.

Three tables, joined by ``crate``: ``tasks`` (a row an attempt), ``arguments`` (a row an argument or result) and
``files`` (a row a file used or generated). Times are integers, nanoseconds since the Unix epoch, UTC.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from prov_worker.crate.summary import RunStep
from prov_worker.errors import MissingExtraError
from prov_worker.model import TaskSeries

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]

#: Columns of the table of tasks and their types: ``text``, ``int``, ``float``, ``bool``, ``time`` (ns, UTC).
TASKS: dict[str, str] = {
    "task_id": "text",
    "attempt": "int",
    "latest": "bool",
    "status": "text",
    "function": "text",
    "function_id": "text",
    "function_sha256": "text",
    "module": "text",
    "start": "time",
    "end": "time",
    "start_ns": "int",
    "end_ns": "int",
    "wall_s": "float",
    "cpu_s": "float",
    "cpu_max_percent": "float",
    "cpu_mean_percent": "float",
    "peak_rss_bytes": "int",
    "read_bytes": "int",
    "written_bytes": "int",
    "gpu_max_percent": "float",
    "gpu_mean_percent": "float",
    "gpu_memory_max_bytes": "float",
    "gpus_used": "int",
    "gpus_visible": "int",
    "node_gpus": "int",
    "node_cpus": "int",
    "node_memory_bytes": "int",
    "cpus_allowed": "int",
    "error": "text",
    "failure_kind": "text",
    "failure_type": "text",
    "failure_signal": "text",
    "endpoint_id": "text",
    "endpoint_name": "text",
    "host": "text",
    "pid": "int",
    "worker": "text",
    "rank": "text",
    "block": "text",
    "user": "text",
    "cpu_affinity": "text",
    "cpu_model": "text",
    "gpu_model": "text",
    "scheduler_job": "text",
    "container": "text",
    "python": "text",
    "samples": "int",
    "samples_expected": "int",
    "annotations": "text",
    "notes": "text",
    "key": "text",
    "crate": "text",
    "metadata_sha256": "text",
}
ARGUMENTS: dict[str, str] = {
    "key": "text",
    "task_id": "text",
    "role": "text",
    "name": "text",
    "type": "text",
    "value": "text",
    "number": "float",
    "size_bytes": "int",
    "length": "int",
    "sha256": "text",
    "crate": "text",
}
FILES: dict[str, str] = {
    "key": "text",
    "task_id": "text",
    "role": "text",
    "path": "text",
    "size_bytes": "int",
    "sha256": "text",
    "inside": "bool",
    "declared": "bool",
    "crate": "text",
}
TABLES = {"tasks": TASKS, "arguments": ARGUMENTS, "files": FILES}
#: Columns of a series as a table.
SERIES = ("base", "time", "offset_s", "column", "subject", "unit", "mean", "low", "high")
#: A GPU whose use was never above this, in percent, is one that the task did not use.
GPU_USED_PERCENT = 1.0


def rows(table: str, step: RunStep) -> Iterator[Row]:
    """Rows of one table for one step, without the columns ``start`` and ``end``, which follow from ``*_ns``."""
    if table == "tasks":
        yield _task(step)
    elif table == "arguments":
        for role, values in (("argument", step.arguments), ("result", step.results)):
            for one in values:
                known = one.value if one.recorded else None
                number = isinstance(known, (int, float)) and not isinstance(known, bool)
                yield {
                    "key": step.key,
                    "task_id": step.task_id,
                    "role": role,
                    "name": one.name,
                    "type": one.type,
                    "value": None if known is None else str(known),
                    "number": float(known) if number and known is not None else None,
                    "size_bytes": one.size_bytes,
                    "length": one.length,
                    "sha256": one.sha256,
                    "crate": step.crate,
                }
    else:
        for file in step.files:
            yield {
                "key": step.key,
                "task_id": step.task_id,
                "role": file.role,
                "path": file.path,
                "size_bytes": file.size_bytes,
                "sha256": file.sha256,
                "inside": file.inside,
                "declared": file.declared,
                "crate": step.crate,
            }


def _task(step: RunStep) -> Row:
    used = [number for number in step.gpu_max_percent.values() if number > GPU_USED_PERCENT]
    row: Row = {name: getattr(step, name) for name in _PLAIN}
    row["gpu_max_percent"] = max(step.gpu_max_percent.values(), default=None)
    means = step.gpu_mean_percent.values()
    row["gpu_mean_percent"] = sum(means) / len(means) if means else None
    row["gpu_memory_max_bytes"] = max(step.gpu_memory_max_bytes.values(), default=None)
    row["gpus_used"] = len(used) if step.gpu_max_percent else None
    row["python"] = step.versions.get("python")
    row["annotations"] = json.dumps(step.annotations, ensure_ascii=False) if step.annotations else None
    row["notes"] = "\n".join(step.notes) or None
    return row


_DERIVED = frozenset(
    (
        "start",
        "end",
        "gpu_max_percent",
        "gpu_mean_percent",
        "gpu_memory_max_bytes",
        "gpus_used",
        "python",
        "annotations",
        "notes",
    )
)
_PLAIN = tuple(name for name in TASKS if name not in _DERIVED)
_PANDAS = {"text": "string", "int": "Int64", "float": "float64", "bool": "bool"}


def frame(table: str, steps: Iterable[RunStep]) -> pd.DataFrame:
    """A table of steps as a pandas DataFrame: nullable integers and strings, UTC timestamps.

    Raises:
        InputError: pandas is not installed.
    """
    pd = _pandas()
    columns: dict[str, list[Any]] = {name: [] for name, kind in TABLES[table].items() if kind != "time"}
    for step in steps:
        for row in rows(table, step):
            for name, values in columns.items():
                values.append(row[name])
    data = {name: pd.Series(values, dtype=_PANDAS[TABLES[table][name]]) for name, values in columns.items()}
    for name, kind in TABLES[table].items():
        if kind == "time":
            data[name] = pd.to_datetime(data[f"{name}_ns"], unit="ns", utc=True)
    return pd.DataFrame({name: data[name] for name in TABLES[table]})


def series_frame(series: TaskSeries, start_ns: int) -> pd.DataFrame:
    """The series of one step as a long table, a row a sample and column.

    Raises:
        InputError: pandas is not installed.
    """
    pd = _pandas()
    data: dict[str, list[Any]] = {name: [] for name in SERIES}
    for base, one in series.all():
        for name, column in one.columns.items():
            count = len(one.offset_s)
            data["base"] += [base] * count
            data["time"] += [start_ns + int(offset * 1e9) for offset in one.offset_s]
            data["offset_s"] += one.offset_s
            data["column"] += [name] * count
            data["subject"] += [column.subject] * count
            data["unit"] += [column.unit] * count
            for part, values in (("mean", column.mean), ("low", column.low), ("high", column.high)):
                data[part] += column.mean if values is None else values
    found = pd.DataFrame(data)
    found["time"] = pd.to_datetime(found["time"], unit="ns", utc=True)
    return found


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise MissingExtraError("data frames need pandas", "run", error) from error
    return pandas
