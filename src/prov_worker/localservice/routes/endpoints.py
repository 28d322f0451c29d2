"""Routes of endpoints."""

from __future__ import annotations

import time
import uuid
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from prov_worker.localservice.records import Endpoint, Pulse
from prov_worker.localservice.routes.common import Caller, ServiceDep, StrictRoute, errors

router = APIRouter(tags=["endpoints"], route_class=StrictRoute)


class Registration(BaseModel):
    """What a daemon says of itself; keys that are not named here are kept."""

    model_config = ConfigDict(extra="allow")

    endpoint_name: Annotated[str, Field(min_length=1, max_length=255)]
    display_name: str | None = None
    multi_user: StrictBool = False
    public: StrictBool = False
    high_assurance: StrictBool = False
    allowed_functions: list[uuid.UUID] | None = None
    metadata: dict[str, Any] | None = None


class QueueInfo(BaseModel):
    """Where to consume or publish."""

    connection_url: str
    queue: str
    exchange: str | None = None
    queue_publish_kwargs: dict[str, Any] | None = None


class Registered(BaseModel):
    """Where a core endpoint finds its commands and leaves its heartbeats."""

    endpoint_id: uuid.UUID
    command_queue_info: QueueInfo
    heartbeat_queue_info: QueueInfo


class EndpointStatus(BaseModel):
    """Whether an endpoint is there, and its last report."""

    status: Literal["online", "offline"]
    details: dict[str, Any]


class EndpointSummary(BaseModel):
    """An endpoint in a list."""

    uuid: str
    name: str
    display_name: str
    owner: str


class EndpointBody(EndpointSummary):
    """An endpoint."""

    model_config = ConfigDict(extra="allow")

    owner_id: str
    multi_user: bool
    public: bool
    endpoint_config: str | None
    user_config_template: str | None
    user_config_schema: dict[str, Any] | None
    metadata: dict[str, Any]
    status: Literal["online", "offline"]


class Stopped(BaseModel):
    """Outcome of an action."""

    result: int = 302


class AllowedFunctions(BaseModel):
    """Return the functions that may run on an endpoint."""

    endpoint_id: uuid.UUID
    restricted: bool
    functions: list[uuid.UUID]


_REGISTER = errors(400, 401, 404, 413, 422, 503)


@router.post("/v3/endpoints", response_model=Registered, response_model_exclude_none=True, responses=_REGISTER)
def register(body: Registration, caller: Caller, service: ServiceDep) -> Any:
    """Register an endpoint at its first start."""
    return service.register_endpoint(caller, None, body.endpoint_name, body.model_dump(mode="json", exclude_none=True))


@router.put(
    "/v3/endpoints/{endpoint_id}", response_model=Registered, response_model_exclude_none=True, responses=_REGISTER
)
def register_again(endpoint_id: uuid.UUID, body: Registration, caller: Caller, service: ServiceDep) -> Any:
    """Register an endpoint at a later start."""
    content = body.model_dump(mode="json", exclude_none=True)
    return service.register_endpoint(caller, str(endpoint_id), body.endpoint_name, content)


@router.get("/v2/endpoints", response_model=list[EndpointSummary], responses=errors(401, 422))
def list_endpoints(
    caller: Caller, service: ServiceDep, role: Annotated[Literal["owner", "any"], Query()] = "owner"
) -> Any:
    """Return the caller's endpoints; for either role, since nobody sees another's."""
    return [_summary(each) for each in service.storage.endpoints(caller.client_id)]


@router.get("/v2/endpoints/{endpoint_id}", response_model=EndpointBody, responses=errors(401, 404, 422))
def show_endpoint(endpoint_id: uuid.UUID, caller: Caller, service: ServiceDep) -> Any:
    """Return an endpoint as it was registered."""
    endpoint = service.endpoint(caller, str(endpoint_id))
    registration = endpoint.registration
    metadata = registration.get("metadata") or {}
    return {
        **{
            key: value
            for key, value in registration.items()
            if key in ("allowed_functions", "authentication_policy", "high_assurance")
        },
        **_summary(endpoint),
        "owner_id": endpoint.owner,
        "multi_user": bool(registration.get("multi_user")),
        "public": bool(registration.get("public")),
        "endpoint_config": _text(metadata.get("endpoint_config")),
        "user_config_template": _text(metadata.get("user_config_template")),
        "user_config_schema": _mapping(metadata.get("user_config_schema")),
        "metadata": metadata,
        "status": _state(endpoint),
    }


@router.get("/v2/endpoints/{endpoint_id}/status", response_model=EndpointStatus, responses=errors(401, 404, 422))
def endpoint_status(endpoint_id: uuid.UUID, caller: Caller, service: ServiceDep) -> Any:
    """Return whether an endpoint, or a user endpoint, is there; with its last heartbeat."""
    user_endpoint = service.storage.user_endpoint(str(endpoint_id))
    if user_endpoint is not None and user_endpoint.owner == caller.client_id:
        online = user_endpoint.pulse.online(time.time())
        return {"status": "online" if online else "offline", "details": _heard(user_endpoint.pulse)}
    endpoint = service.endpoint(caller, str(endpoint_id))
    return {"status": _state(endpoint), "details": _heard(endpoint.pulse)}


@router.delete("/v2/endpoints/{endpoint_id}", response_model=Stopped, responses=errors(401, 404, 422))
def delete_endpoint(endpoint_id: uuid.UUID, caller: Caller, service: ServiceDep) -> Any:
    """Forget an endpoint; its open tasks fail."""
    service.delete_endpoint(caller, str(endpoint_id))
    return Stopped()


@router.post("/v3/endpoints/{endpoint_id}/lock", response_model=Stopped, responses=errors(401, 404, 422, 503))
def stop_endpoint(endpoint_id: uuid.UUID, caller: Caller, service: ServiceDep) -> Any:
    """Make a daemon stop: ``globus-compute-endpoint stop --remote``."""
    service.stop_endpoint(caller, str(endpoint_id))
    return Stopped()


@router.get(
    "/v3/endpoints/{endpoint_id}/allowed_functions", response_model=AllowedFunctions, responses=errors(401, 404, 422)
)
def allowed_functions(endpoint_id: uuid.UUID, caller: Caller, service: ServiceDep) -> Any:
    """Return the functions that may run on an endpoint."""
    allowed = service.endpoint(caller, str(endpoint_id)).allowed_functions
    return {"endpoint_id": endpoint_id, "restricted": allowed is not None, "functions": allowed or []}


def _summary(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "uuid": endpoint.id,
        "name": endpoint.name,
        "display_name": endpoint.display_name,
        "owner": endpoint.owner,
    }


def _state(endpoint: Endpoint) -> str:
    return "online" if not endpoint.locked and endpoint.pulse.online(time.time()) else "offline"


def _heard(pulse: Pulse) -> dict[str, Any]:
    """Return the last heartbeat, with the time at which it came; nothing before the first one."""
    return {**pulse.report, "timestamp": pulse.heard} if pulse.heard else pulse.report


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _mapping(value: Any) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None
