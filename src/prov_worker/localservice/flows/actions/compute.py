"""Globus Compute's action: tasks by the service's own endpoints.

Source: https://globus-compute.readthedocs.io/en/latest/actionprovider.html. Arguments and results are JSON, packed as
the SDK's ``JSONData`` strategy packs them: nothing of a task's is unpickled here.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from prov_worker.localservice import messages
from prov_worker.localservice.apierrors import ApiError
from prov_worker.localservice.flows.actions.provider import NotNowError, Request, Status, UnableError
from prov_worker.localservice.identities import Identity
from prov_worker.localservice.records import Task, TaskState

if TYPE_CHECKING:
    from prov_worker.localservice.service import Service

_JSON = "11"
#: What a worker packs results with.
_SERIALIZER = "globus_compute_sdk.serialize.JSONData"
#: Answers after which a submission is tried again: too much at once, and something that is away.
_LATER = (429, 503)


class ComputeProvider:
    """Runs tasks.

    Args:
        service: whose endpoints run them.
        version: of the action: 2 or 3.
    """

    def __init__(self, service: Service, version: int) -> None:
        self._service, self._version = service, version

    def prepare(self, request: Request) -> dict[str, Any]:
        """See :class:`Provider`: a task group is drawn for each endpoint."""
        calls = _calls(request.body) if self._version == 3 else _old_calls(request.body)
        group = request.body.get("task_group_id")
        parts: dict[str, dict[str, Any]] = {}
        for endpoint, function, payload in calls:
            part = parts.setdefault(endpoint, {"group": "", "functions": [], "payloads": []})
            part["functions"].append(function)
            part["payloads"].append(payload)
        for endpoint, part in parts.items():
            part["group"] = _uuid(group, "task_group_id") if group is not None and len(parts) == 1 else ""
            part["group"] = part["group"] or str(uuid.uuid4())
            part["before"] = self._group_tasks(request.identity, part["group"])
            self._check(request.identity, endpoint, part["functions"])
        return {"parts": parts, "order": [endpoint for endpoint, _, _ in calls]}

    def _group_tasks(self, identity: Identity, group: str) -> list[str]:
        if self._service.storage.group_owner(group) != identity.client_id:
            return []
        return self._service.storage.group_tasks(group)

    def _check(self, identity: Identity, endpoint: str, functions: list[str]) -> None:
        try:
            self._service.endpoint(identity, endpoint)
            for function in functions:
                self._service.function(identity, function)
        except ApiError as error:
            raise UnableError(error.reason) from None

    def look(self, request: Request, note: Mapping[str, Any]) -> Status | None:
        """See :class:`Provider`: what the task group has tells whether the tasks were submitted."""
        results: dict[str, list[dict[str, Any]]] = {}
        for endpoint, part in note["parts"].items():
            before = set(part["before"])
            ids = [task for task in self._group_tasks(request.identity, part["group"]) if task not in before]
            if not ids:
                self._submit(request, endpoint, part)
                return None
            tasks = self._service.storage.tasks(ids, request.identity.client_id)
            if len(tasks) < len(part["functions"]):
                raise UnableError(f"tasks of group {part['group']} are no longer kept")
            if any(task.state < TaskState.SUCCESS for task in tasks.values()):
                return None
            results[endpoint] = [_result(tasks[task]) for task in _ordered(part["functions"], ids, tasks)]
        everything = [results[endpoint].pop(0) for endpoint in note["order"]]
        groups = [part["group"] for part in note["parts"].values()]
        action_id = f"tg_{groups[0]}"
        failures = [result["exception"] for result in everything if "exception" in result]
        if failures:
            # Which tasks an action had that failed is not reported.
            return Status(False, {"exception": failures[0]}, action_id)
        return Status(True, {"results": everything}, action_id)

    def _submit(self, request: Request, endpoint: str, part: Mapping[str, Any]) -> None:
        calls: dict[str, list[str]] = {}
        for function, payload in zip(part["functions"], part["payloads"], strict=True):
            calls.setdefault(function, []).append(payload)
        options = request.body.get("user_endpoint_config")
        try:
            self._service.submit(
                request.identity,
                endpoint,
                calls,
                group=part["group"],
                queue=False,
                options=dict(options) if isinstance(options, Mapping) else {},
                runtime=_runtime(),
                resource_specification=request.body.get("resource_specification"),
                result_serializers=[_SERIALIZER],
            )
        except ApiError as error:
            raise (NotNowError if error.status in _LATER else UnableError)(error.reason) from None

    def cancel(self, request: Request) -> None:
        """Do nothing: a task of Globus Compute cannot be taken back."""


def _runtime() -> dict[str, Any]:
    """Return what a client tells of itself: here, which packages the service runs with."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    described: dict[str, Any] = {"python_version": platform.python_version()}
    for key, name in (("globus_compute_sdk_version", "globus-compute-sdk"), ("globus_sdk_version", "globus-sdk")):
        try:
            described[key] = version(name)
        except PackageNotFoundError:
            described[key] = "0"
    return described


def _packed(args: Any, kwargs: Any) -> str:
    """Return arguments as the SDK packs them."""
    if not isinstance(args, list) or not isinstance(kwargs, Mapping):
        raise UnableError("args is a list, and kwargs an object")
    buffers = [f"{_JSON}\n{json.dumps(value)}" for value in (args, kwargs)]
    return "".join(f"{len(buffer)}\n{buffer}" for buffer in buffers)


def _uuid(value: Any, name: str) -> str:
    try:
        return str(uuid.UUID(value))
    except (AttributeError, TypeError, ValueError):
        raise UnableError(f"{name}: {str(value)[:80]!r} is not a UUID") from None


def _calls(body: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return endpoint, function and packed arguments of each task of version 3."""
    endpoint = _uuid(body.get("endpoint_id"), "endpoint_id")
    tasks = body.get("tasks")
    if not isinstance(tasks, list) or not tasks:
        raise UnableError("tasks: expected a list with a task at least")
    calls = []
    for number, task in enumerate(tasks):
        if not isinstance(task, Mapping):
            raise UnableError(f"tasks[{number}]: expected an object")
        function = _uuid(task.get("function_id"), f"tasks[{number}].function_id")
        calls.append((endpoint, function, _packed(task.get("args") or [], task.get("kwargs") or {})))
    return calls


def _old_calls(body: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return the same of version 2, whose tasks name their endpoints, and whose arguments may be JSON in a text."""
    tasks = body.get("tasks")
    calls = []
    for number, task in enumerate(tasks if isinstance(tasks, list) else [body]):
        if not isinstance(task, Mapping):
            raise UnableError(f"tasks[{number}]: expected an object")
        args, kwargs = _plain(task.get("args")), _plain(task.get("kwargs"))
        payload = _plain(task.get("payload"))
        if isinstance(payload, Mapping):
            kwargs = {**payload, **(kwargs or {})}
        elif payload is not None:
            args = payload if isinstance(payload, list) else [payload]
        if args is not None and not isinstance(args, list):
            args = [args]
        endpoint = _uuid(task.get("endpoint"), f"tasks[{number}].endpoint")
        function = _uuid(task.get("function", task.get("func")), f"tasks[{number}].function")
        calls.append((endpoint, function, _packed(args or [], kwargs or {})))
    return calls


def _plain(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _ordered(functions: list[str], ids: list[str], tasks: Mapping[str, Task]) -> list[str]:
    """Return ids of tasks in the order of the calls: a group has them by function."""
    waiting: dict[str, list[str]] = {}
    for task in ids:
        waiting.setdefault(tasks[task].function, []).append(task)
    return [waiting[function].pop(0) for function in functions]


def _result(task: Task) -> dict[str, Any]:
    assert task.message is not None
    document = messages.document(task.id, task.message, task.finished or time.time())
    if "exception" in document:
        return {"task_id": task.id, "exception": str(document["exception"])}
    strategy, _, text = document["result"].partition("\n")
    try:
        if strategy != _JSON:
            raise ValueError(f"packed by strategy {strategy}")
        return {"task_id": task.id, "output": json.loads(text)}
    except ValueError as error:
        return {"task_id": task.id, "exception": f"the result of task {task.id} is not JSON: {error}"}
