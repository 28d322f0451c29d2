"""Routes of functions."""

from __future__ import annotations

import time
import uuid
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from prov_worker.localservice.apierrors import not_found
from prov_worker.localservice.records import Function
from prov_worker.localservice.routes.common import Caller, ServiceDep, StrictRoute, errors

router = APIRouter(tags=["functions"], route_class=StrictRoute)


class FunctionRegistration(BaseModel):
    """A function; ``function_code`` is packed if ``serialized`` is true, and source text otherwise."""

    model_config = ConfigDict(extra="allow")

    function_name: Annotated[str, Field(min_length=1, max_length=1024)]
    function_code: Annotated[str, Field(min_length=1)]
    serialized: StrictBool = True
    meta: dict[str, Any] | None = None
    description: str | None = None
    public: StrictBool = False


class FunctionRegistered(BaseModel):
    """Its id."""

    function_uuid: uuid.UUID


class FunctionBody(BaseModel):
    """A registered function."""

    function_uuid: uuid.UUID
    function_name: str
    function_code: str
    description: str | None
    metadata: dict[str, Any] | None
    public: bool
    owner: str


class Deleted(BaseModel):
    """Outcome of an action."""

    result: int = 302


def packed_source(name: str, source: str) -> str:
    """Return source as the SDK's ``PureSourceTextInspect`` packs it: its length, ``st``, ``<name>:<source>``."""
    buffer = f"st\n{name}:{source}"
    return f"{len(buffer)}\n{buffer}"


@router.post("/v3/functions", response_model=FunctionRegistered, responses=errors(400, 401, 403, 413, 422))
def register_function(body: FunctionRegistration, caller: Caller, service: ServiceDep) -> Any:
    """Register a function."""
    code = body.function_code
    function = Function(
        str(uuid.uuid4()),
        caller.client_id,
        body.function_name,
        code if body.serialized else packed_source(body.function_name, code),
        time.time(),
        body.description,
        body.meta,
        body.public,
    )
    service.register_function(caller, function)
    return {"function_uuid": function.id}


@router.get("/v2/functions/{function_id}", response_model=FunctionBody, responses=errors(401, 404, 422))
def show_function(function_id: uuid.UUID, caller: Caller, service: ServiceDep) -> Any:
    """Return a function of the caller, or a public one."""
    function = service.function(caller, str(function_id))
    return {
        "function_uuid": function.id,
        "function_name": function.name,
        "function_code": function.buffer,
        "description": function.description,
        "metadata": function.meta,
        "public": function.public,
        "owner": function.owner,
    }


@router.delete("/v2/functions/{function_id}", response_model=Deleted, responses=errors(401, 404, 422))
def delete_function(function_id: uuid.UUID, caller: Caller, service: ServiceDep) -> Any:
    """Delete a function of the caller; its tasks that are under way are finished."""
    if service.function(caller, str(function_id)).owner != caller.client_id:
        raise not_found("function", function_id)
    service.storage.delete_function(str(function_id))
    return Deleted()
