"""MLflow: runs carry the id of the task that made them, and are read from their store when the task has ended.

:class:`TaskTags` is named in the entry point group ``mlflow.run_context_provider`` of this package: MLflow asks it for
tags of each run that ``mlflow.start_run`` makes (mlflow, "Plugins", "Run Context Provider"), so autologging, child runs
and scripts that a task starts are met too, and ``MlflowClient.create_run`` is not.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from prov_worker.attempt import AttemptId
from prov_worker.capture import CAPTURES, Library
from prov_worker.capture.reading.mlflow_values import START_TAG, TASK_TAG
from prov_worker.interruptions import is_own
from prov_worker.recorder.context import capture_settings
from prov_worker.recorder.current_task import RunningTask, current_task
from prov_worker.recorder.errors import log_internal_error
from prov_worker.spool.captures import write_capture
from prov_worker.training import Training


class TaskTags:
    """Names the task in the tags of its runs, and tells the agent which store they are in."""

    def __init__(self) -> None:
        self._attempt: AttemptId | None = None
        self._stores: list[str] = []

    def in_context(self) -> bool:
        """Return whether a task runs, and whether its settings ask for its runs."""
        return self._task() is not None

    def tags(self) -> dict[str, str]:
        """Return the tags of a run that is being made."""
        task = self._task()
        if task is None:
            return {}
        try:
            self._note_store(task)
        except Exception as error:
            if not is_own(error):
                raise
            log_internal_error("noting where MLflow stores a run")
        return {TASK_TAG: task.attempt.task_id, START_TAG: str(task.attempt.start_ns)}

    @staticmethod
    def _task() -> RunningTask | None:
        try:
            return None if capture_settings().get("mlflow") is False else current_task()
        except Exception as error:
            if not is_own(error):
                raise
            log_internal_error("looking for the task of an MLflow run")
            return None

    def _note_store(self, task: RunningTask) -> None:
        store = absolute_uri(str(sys.modules["mlflow"].get_tracking_uri()), os.getcwd())
        if task.attempt != self._attempt:
            self._attempt, self._stores = task.attempt, []
        if store not in self._stores:
            self._stores.append(store)
            write_capture(task.runtime, task.attempt, "mlflow", self._stores)


def absolute_uri(uri: str, directory: str) -> str:
    """Return the address of a store without what a working directory says: a path is absolute."""
    for scheme in ("sqlite:///", "file://", "file:"):
        if uri.startswith(scheme):
            return scheme + os.path.join(directory, uri.removeprefix(scheme))
    return uri if "://" in uri or uri == "databricks" else os.path.join(directory, uri)


def read(request: Any) -> Training:
    """Return the runs of a task.

    Args:
        request: ``{"task": id, "start_ns": of the attempt, "stores": addresses}``.
    """
    from prov_worker.capture.reading.mlflow_stores import read_stores

    return read_stores(request["stores"], request["task"], str(request["start_ns"]))


CAPTURES.add("mlflow", Library(read=read))
