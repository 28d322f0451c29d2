"""What MLflow stores, as it was logged."""

from __future__ import annotations

import math

#: Tags by which a run names its task.
TASK_TAG, START_TAG = "prov_worker.task_id", "prov_worker.task_start_ns"
#: Of MLflow's own.
NAME_TAG, PARENT_TAG = "mlflow.runName", "mlflow.parentRunId"


def logged_value(value: float, is_nan: bool = False) -> float:
    """Return a value as it was logged: SQLite has no NaN, and MLflow stores infinities as the largest numbers."""
    if is_nan:
        return math.nan
    return math.copysign(math.inf, value) if abs(value) >= 1.7976931348623157e308 else value


def nanoseconds(milliseconds: int | None) -> int | None:
    """Return a time of MLflow's in nanoseconds."""
    return None if milliseconds is None else int(milliseconds) * 1_000_000
