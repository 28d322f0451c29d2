"""Routes of tasks: submission, results, task groups."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from prov_worker.localservice import messages, topology
from prov_worker.localservice.apierrors import not_found
from prov_worker.localservice.records import Task
from prov_worker.localservice.routes.common import Caller, ServiceDep, StrictRoute, errors

router = APIRouter(tags=["tasks"], route_class=StrictRoute)
#: What the hosted service says of a task that no endpoint has answered yet.
_PENDING = "waiting-for-ep"


class Submission(BaseModel):
    """Tasks by function: each is its packed arguments. Keys that are not named here are ignored."""

    model_config = ConfigDict(extra="ignore")

    tasks: Annotated[dict[uuid.UUID, Annotated[list[str], Field(min_length=1)]], Field(min_length=1)]
    task_group_id: uuid.UUID | None = None
    create_queue: StrictBool = False
    user_runtime: dict[str, Any] | None = None
    user_endpoint_config: dict[str, Any] | None = None
    resource_specification: dict[str, Any] | None = None
    result_serializers: list[str] | None = None


class Submitted(BaseModel):
    """Ids of the tasks, by function, in the order of their arguments."""

    request_id: uuid.UUID
    task_group_id: uuid.UUID
    endpoint_id: uuid.UUID
    tasks: dict[str, list[str]]


class TaskBody(BaseModel):
    """A task: pending, or with ``result`` or ``exception``."""

    task_id: str
    status: str
    details: dict[str, Any] | None
    result: str | None = None
    exception: str | None = None
    completion_t: str | None = None


class TaskIds(BaseModel):
    """Tasks asked for."""

    task_ids: Annotated[list[uuid.UUID], Field(max_length=100_000)]


class BatchStatus(BaseModel):
    """Those of the tasks that are the caller's."""

    response: str
    results: dict[str, TaskBody]


class TaskReference(BaseModel):
    """A task of a group."""

    id: str


class TaskGroup(BaseModel):
    """A task group."""

    taskgroup_id: str
    tasks: list[TaskReference]
    create_websockets_queue: bool


class ResultQueue(BaseModel):
    """Where the SDK finds results: the queue of a task group is the prefix and the group's id."""

    queue_prefix: str
    connection_url: str


def document(task: Task) -> dict[str, Any]:
    """Return a task as the SDK reads it."""
    if task.message is None or task.finished is None:
        return {"task_id": task.id, "status": _PENDING, "details": None}
    return messages.document(task.id, task.message, task.finished)


@router.post(
    "/v3/endpoints/{endpoint_id}/submit",
    response_model=Submitted,
    responses=errors(400, 401, 403, 404, 413, 422, 503),
)
def submit(endpoint_id: uuid.UUID, body: Submission, caller: Caller, service: ServiceDep) -> Any:
    """Submit tasks."""
    group, ids = service.submit(
        caller,
        str(endpoint_id),
        {str(function): payloads for function, payloads in body.tasks.items()},
        group=str(body.task_group_id) if body.task_group_id else None,
        queue=body.create_queue,
        options=body.user_endpoint_config or {},
        runtime=body.user_runtime or {},
        resource_specification=body.resource_specification,
        result_serializers=body.result_serializers,
    )
    return {
        "request_id": str(uuid.uuid4()),
        "task_group_id": group,
        "endpoint_id": str(endpoint_id),
        "tasks": ids,
    }


@router.get(
    "/v2/tasks/{task_id}", response_model=TaskBody, response_model_exclude_unset=True, responses=errors(401, 404, 422)
)
def show_task(task_id: uuid.UUID, caller: Caller, service: ServiceDep) -> Any:
    """Return a task, with its result when there is one."""
    tasks = service.storage.tasks([str(task_id)], caller.client_id)
    if not tasks:
        raise not_found("task", task_id)
    return document(tasks[str(task_id)])


@router.post(
    "/v2/batch_status",
    response_model=BatchStatus,
    response_model_exclude_unset=True,
    responses=errors(400, 401, 413, 422),
)
def batch_status(body: TaskIds, caller: Caller, service: ServiceDep) -> Any:
    """Return many tasks at once; those that are not the caller's are left out."""
    tasks = service.storage.tasks(dict.fromkeys(map(str, body.task_ids)), caller.client_id)
    return {"response": "batch", "results": {task_id: document(task) for task_id, task in tasks.items()}}


@router.get("/v2/taskgroup/{group_id}", response_model=TaskGroup, responses=errors(401, 404, 422, 503))
def task_group(group_id: uuid.UUID, caller: Caller, service: ServiceDep) -> Any:
    """Return the tasks of a group; its queue is there when this answers."""
    tasks = service.open_group(caller, str(group_id))
    return {
        "taskgroup_id": str(group_id),
        "tasks": [{"id": each} for each in tasks],
        "create_websockets_queue": True,
    }


@router.get("/v2/get_amqp_result_connection_url", response_model=ResultQueue, responses=errors(401))
def result_queue(caller: Caller, service: ServiceDep) -> Any:
    """Return where the SDK finds results."""
    return {
        "queue_prefix": topology.group_prefix(caller.client_id),
        "connection_url": service.amqp_url(caller.client_id),
    }
