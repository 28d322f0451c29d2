"""Runs of a task in MLflow's stores: which reader an address needs, and what all readers share.

MLflow has a store in SQLite (its default since 3.7), one of plain files (``mlruns``), and a tracking server (REST).
Other databases and services need credentials, which the agent does not have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from prov_worker.capture.reading import mlflow_files, mlflow_server, mlflow_sqlite
from prov_worker.capture.reading.clock import Deadline
from prov_worker.capture.reading.mlflow_values import START_TAG, TASK_TAG
from prov_worker.redact import redact
from prov_worker.training import TrackedRun, Training

Reader = Callable[[str, Mapping[str, str], Deadline], list[TrackedRun]]
#: What reads the store, by the scheme of its address; none is a directory.
_READERS: dict[str, Reader] = {
    "sqlite": mlflow_sqlite.read,
    "file": mlflow_files.read,
    "": mlflow_files.read,
    "http": mlflow_server.read,
    "https": mlflow_server.read,
}


def read_stores(stores: list[str], task_id: str, start_ns: str) -> Training:
    """Return the runs that an attempt at a task made, of all stores that can be read, and why others cannot.

    Args:
        stores: addresses, as ``mlflow.get_tracking_uri`` says them, with absolute paths.
        task_id: of the task.
        start_ns: of the attempt.
    """
    training = Training()
    for store in stores:
        name = redact(store)
        reader = _READERS.get(urlsplit(store).scheme)
        if reader is None:
            reason = "only files, SQLite and a server without a login are"
            training.absent.append(f"MLflow runs in {name}: not read: {reason}")
            continue
        try:
            runs = reader(store, {TASK_TAG: task_id, START_TAG: start_ns}, Deadline())
        except (OSError, ValueError, LookupError, TypeError, ArithmeticError) as error:
            training.absent.append(f"MLflow runs in {name}: not read: {redact(str(error))}")
            continue
        for run in runs:
            run.source = name
            _redact(run)
        training.runs += runs
    return training


def _redact(run: TrackedRun) -> None:
    for texts in (run.parameters, run.tags):
        for key, value in texts.items():
            texts[key] = redact(f"{key}={value}")[len(key) + 1 :] if key else redact(value)
    run.artifacts = None if run.artifacts is None else redact(run.artifacts)
