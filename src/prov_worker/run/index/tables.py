"""Steps as rows of tables, the same for data frames, Parquet and CSV.

Three tables, joined by ``crate``: ``tasks`` (one row per attempt), ``arguments`` (one row per argument or result) and
``files`` (one row per file used or generated). Times are integers, nanoseconds since the Unix epoch, UTC.

The samples of an attempt are a table of their own, one row per sample of a quantity:

=============  =========================================================================================
column         content
=============  =========================================================================================
``key``        the attempt: ``<task_id>`` or ``<task_id>.attempt-N``; joins with the table of tasks
``task_id``    Globus Compute task id
``attempt``    number of the attempt
``function``   name of the function
``host``       node
``series``     ``task`` (the task's process tree), ``node`` (all of it) or ``gpu``
``quantity``   name of the column in the crate, such as ``cpu_percent``; 100 is one logical CPU
``subject``    what was measured: ``task``, ``node``, ``cpu:<n>`` or ``gpu:<n>``
``unit``       ``percent``, ``byte``, ``count``, ``watt``, ``celsius``
``time``       UTC; in CSV ISO 8601 with microseconds, else a timestamp in nanoseconds
``offset_s``   seconds after the start of the attempt
``mean``       value; if a sample stands for several, their mean (of a counter: the last)
``low``        smallest and ``high`` largest value that a sample stands for; empty if it stands for itself
=============  =========================================================================================
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any

from prov_worker.counters import COLUMNS
from prov_worker.crate import vocabulary as v
from prov_worker.crate.gpu_use import gpu_use
from prov_worker.crate.summary import RunStep
from prov_worker.errors import CrateError, MissingExtraError
from prov_worker.model import TaskSeries

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]
Values = tuple[Any, ...]

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
    **{counter.name: counter.kind for counter in COLUMNS},
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
    "user_endpoint_id": "text",
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
    "run": "text",
    "annotations": "text",
    "part_key": "text",
    "part_of": "text",
    "training_runs": "int",
    "hyperparameters": "text",
    "metrics": "text",
    "models": "text",
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
#: DuckDB's types of columns.
DUCKDB_KINDS = {"text": "VARCHAR", "int": "BIGINT", "float": "DOUBLE", "bool": "BOOLEAN", "time": "TIMESTAMP"}
#: Columns of the table of samples and their types.
SAMPLES: dict[str, str] = {
    "key": "text",
    "task_id": "text",
    "attempt": "int",
    "function": "text",
    "host": "text",
    "series": "text",
    "quantity": "text",
    "subject": "text",
    "unit": "text",
    "time": "time",
    "offset_s": "float",
    "mean": "float",
    "low": "float",
    "high": "float",
}


#: By table, the columns that a row has: those of times follow from theirs in nanoseconds.
PLAIN = {table: tuple(name for name, kind in columns.items() if kind != "time") for table, columns in TABLES.items()}
#: By table, what makes of a row its values, in the order of :data:`PLAIN`.
VALUES: dict[str, Callable[[Row], Values]] = {table: itemgetter(*names) for table, names in PLAIN.items()}


def rows(table: str, step: RunStep) -> Iterator[Row]:
    """Yield rows of one table for one step, without the columns ``start`` and ``end``, which follow from ``*_ns``."""
    if table == "tasks":
        yield _task(step)
    elif table == "arguments":
        for role, values in (("argument", step.arguments), ("result", step.results)):
            for value in values:
                recorded = value.value if value.recorded else None
                number = isinstance(recorded, (int, float)) and not isinstance(recorded, bool)
                yield {
                    "key": step.key,
                    "task_id": step.task_id,
                    "role": role,
                    "name": value.name,
                    "type": value.type,
                    "value": None if recorded is None else str(recorded),
                    "number": float(recorded) if number and recorded is not None else None,
                    "size_bytes": value.size_bytes,
                    "length": value.length,
                    "sha256": value.sha256,
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
    gpus = gpu_use(step)
    row: Row = dict(zip(_PLAIN, _plain_of(step), strict=True))
    row["gpu_max_percent"] = gpus.max_percent
    row["gpu_mean_percent"] = gpus.mean_percent
    row["gpu_memory_max_bytes"] = gpus.memory_max_bytes
    row["gpus_used"] = gpus.used
    row.update((counter.name, step.counter(counter)) for counter in COLUMNS)
    row["python"] = step.versions.get("python")
    row["run"] = None if (run := step.annotations.get(v.RUN_ANNOTATION)) is None else str(run)
    for name in ("annotations", "hyperparameters", "metrics", "models"):
        value = getattr(step, name)
        row[name] = json.dumps(value, ensure_ascii=False) if value else None
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
        "run",
        "annotations",
        "hyperparameters",
        "metrics",
        "models",
        "notes",
        *(counter.name for counter in COLUMNS),
    )
)
_PLAIN = tuple(name for name in TASKS if name not in _DERIVED)
_plain_of = attrgetter(*_PLAIN)
_PANDAS = {"text": "string", "int": "Int64", "float": "float64", "bool": "bool"}


def frame(table: str, content: Iterable[Row]) -> pd.DataFrame:
    """Return a table of steps as a pandas DataFrame: nullable integers and strings, UTC timestamps in microseconds.

    Args:
        table: its name.
        content: its rows, as :func:`rows` gives them.

    Raises:
        InputError: pandas is not installed.
    """
    pd = _pandas()
    columns: dict[str, list[Any]] = {name: [] for name, kind in TABLES[table].items() if kind != "time"}
    for row in content:
        for name, values in columns.items():
            values.append(row[name])
    data = {name: pd.Series(values, dtype=_PANDAS[TABLES[table][name]]) for name, values in columns.items()}
    for name, kind in TABLES[table].items():
        if kind == "time":
            # The unit of an index, in which DuckDB keeps times.
            data[name] = pd.to_datetime(data[f"{name}_ns"] // 1000, unit="us", utc=True).astype("datetime64[us, UTC]")
    return pd.DataFrame({name: data[name] for name in TABLES[table]})


def sample_rows(step: RunStep, series: TaskSeries) -> Iterator[tuple[Any, ...]]:
    """Yield the samples of one step, each with the columns of :data:`SAMPLES`; ``time`` is ns since the epoch."""
    attempt = (step.key, step.task_id, step.attempt, step.function, step.host)
    for name, base in series.all():
        times = [(step.began_ns + round(offset * 1e9), offset) for offset in base.offset_s]
        if any(time >= 1 << 63 for time, _ in times):
            raise CrateError(step.crate, "samples at times that no table can hold")
        for quantity, column in base.columns.items():
            measured = (name, quantity, column.subject, column.unit)
            low = column.low if column.low is not None else [None] * len(times)
            high = column.high if column.high is not None else [None] * len(times)
            for time, *values in zip(times, column.mean, low, high, strict=False):
                yield (*attempt, *measured, *time, *values)


def sample_frame(step: RunStep, series: TaskSeries) -> pd.DataFrame:
    """Return the samples of one step as a pandas DataFrame with the columns of :data:`SAMPLES`.

    Raises:
        InputError: pandas is not installed.
    """
    pd = _pandas()
    frame = pd.DataFrame(sample_rows(step, series), columns=list(SAMPLES))
    frame["time"] = pd.to_datetime(frame["time"], unit="ns", utc=True)
    return frame.astype({name: _PANDAS[kind] for name, kind in SAMPLES.items() if kind != "time"})


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise MissingExtraError("data frames need pandas", "run", error) from error
    return pandas
