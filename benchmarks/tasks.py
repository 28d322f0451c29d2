"""Tasks as a worker gets them: packed bodies, the untouched stock helper, and ours."""

from __future__ import annotations

import importlib.util
import sys
import uuid
from collections.abc import Callable
from typing import Any


def body(function: Callable[..., Any], *args: Any) -> bytes:
    """A packed task."""
    from globus_compute_common import messagepack
    from globus_compute_common.messagepack.message_types import Task

    return bytes(messagepack.pack(Task(task_id=uuid.UUID(int=0), task_buffer=buffer(function, *args))))


def buffer(function: Callable[..., Any], *args: Any) -> str:
    """Function and arguments, serialised as the SDK does."""
    from globus_compute_sdk.serialize import ComputeSerializer

    serializer = ComputeSerializer()
    return str(serializer.pack_buffers([serializer.serialize(value) for value in (function, args, {})]))


def stock_helper() -> Callable[..., bytes]:
    """Upstream's ``execute_task`` from a second copy of its module, which nothing of ours has touched."""
    name = "globus_compute_endpoint.engines.helper"
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert sys.modules.get(name) is not module
    return module.execute_task  # type: ignore[no-any-return]


def our_helper(provenance: dict[str, Any]) -> Callable[..., bytes]:
    """The recording helper with the settings that an engine would send."""
    from prov_worker.globus.worker import execute_task

    def recorded(task_body: bytes, task_id: uuid.UUID, endpoint_id: uuid.UUID, **kwargs: Any) -> bytes:
        return execute_task(task_body, task_id, endpoint_id, provenance=provenance, **kwargs)

    return recorded


class Caller:
    """Calls a helper as Parsl's worker does, each time with a new task id.

    Args:
        helper: stock or ours.
        task_body: the packed task.
        run_dir: working directory of the tasks.
    """

    def __init__(self, helper: Callable[..., bytes], task_body: bytes, run_dir: str) -> None:
        self._helper = helper
        self._body = task_body
        self._run_dir = run_dir
        self._endpoint = uuid.uuid4()

    def __call__(self) -> uuid.UUID:
        task_id = uuid.uuid4()
        self._helper(self._body, task_id, self._endpoint, run_dir=self._run_dir)
        return task_id

    def timed_ns(self) -> int:
        """Wall time of one call."""
        from time import perf_counter_ns

        task_id = uuid.uuid4()
        helper, task_body, endpoint, run_dir = self._helper, self._body, self._endpoint, self._run_dir
        begin = perf_counter_ns()
        helper(task_body, task_id, endpoint, run_dir=run_dir)
        return perf_counter_ns() - begin
