"""Routes of Globus Flows: runs. As globus-sdk and globus-cli use them."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from prov_worker.localservice.flows import documents
from prov_worker.localservice.identities import Identity
from prov_worker.localservice.routes.common import ServiceDep, StrictRoute, errors
from prov_worker.localservice.routes.flows import (
    MOST,
    PAGE,
    Body,
    CatalogueDep,
    Credentials,
    flow_token,
    page_of,
    parts_of,
    with_scope,
)

router = APIRouter(tags=["runs"], route_class=StrictRoute)
Reader = Annotated[Identity, Depends(with_scope("run_status", "run_manage"))]
Manager = Annotated[Identity, Depends(with_scope("run_manage"))]


@router.get("/runs", responses=errors(401, 403, 422))
def list_runs(
    caller: Reader,
    catalogue: CatalogueDep,
    filter_flow_id: str | None = None,
    filter_roles: str | None = None,
    filter_status: str | None = None,
    orderby: str | None = None,
    marker: str | None = None,
    per_page: Annotated[int, Query(ge=1, le=MOST)] = PAGE,
) -> Any:
    """List the runs in which the caller has a role, newest first."""
    runs = catalogue.runs(caller, parts_of(filter_flow_id), parts_of(filter_roles))
    if filter_status:
        runs = [run for run in runs if run.status in parts_of(filter_status)]
    shown = [documents.run_document(run, caller) for run in runs]
    page, more = page_of(documents.ordered(shown, orderby), marker, per_page)
    return {"runs": list(page), **more}


@router.get("/runs/{run_id}", responses=errors(401, 403, 404, 422))
def show_run(run_id: uuid.UUID, caller: Reader, catalogue: CatalogueDep, include_flow_description: bool = False) -> Any:
    """Show a run."""
    run = catalogue.run(caller, str(run_id))
    document = documents.run_document(run, caller)
    if include_flow_description:
        document["flow_description"] = documents.described_flow(run)
    return document


@router.get("/runs/{run_id}/definition", responses=errors(401, 403, 404, 422))
def show_definition(run_id: uuid.UUID, caller: Reader, catalogue: CatalogueDep) -> Any:
    """Show the definition that a run was started with."""
    run = catalogue.run(caller, str(run_id))
    return {
        "flow_id": run.flow,
        "definition": run.content["definition"],
        "input_schema": run.content["input_schema"],
    }


@router.get("/runs/{run_id}/log", responses=errors(401, 403, 404, 422))
def show_log(
    run_id: uuid.UUID,
    caller: Reader,
    catalogue: CatalogueDep,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 10,
    reverse_order: bool = False,
    marker: str | None = None,
) -> Any:
    """Show the log of a run, a page at a time."""
    after = int(marker) if marker and marker.isdecimal() and len(marker) < 18 else 0
    entries, more = catalogue.log(caller, str(run_id), after, limit, reverse=reverse_order)
    page = {"limit": limit, "has_next_page": more is not None, "entries": entries}
    return page if more is None else {**page, "marker": str(more)}


@router.put("/runs/{run_id}", responses=errors(400, 401, 403, 404, 422))
def update_run(run_id: uuid.UUID, body: Body, caller: Manager, catalogue: CatalogueDep) -> Any:
    """Change label, tags, monitors and managers of a run."""
    return catalogue.update_run(caller, str(run_id), {key: value for key, value in body.items() if value is not None})


@router.post("/runs/{run_id}/cancel", responses=errors(401, 403, 404, 409, 422))
def cancel_run(run_id: uuid.UUID, caller: Manager, catalogue: CatalogueDep) -> Any:
    """End a run that is under way."""
    return catalogue.cancel(caller, str(run_id))


@router.post("/runs/{run_id}/release", responses=errors(401, 403, 404, 409, 422))
def release_run(run_id: uuid.UUID, caller: Manager, catalogue: CatalogueDep) -> Any:
    """Forget a run that has ended."""
    return catalogue.release(caller, str(run_id))


@router.post("/runs/{run_id}/resume", responses=errors(401, 403, 404, 409, 422))
def resume_run(run_id: uuid.UUID, service: ServiceDep, credentials: Credentials, catalogue: CatalogueDep) -> Any:
    """Let a run go on that waits for a consent; the token is one of its flow."""
    flow_id = catalogue.flow_of(str(run_id))
    token = flow_token(service, credentials, flow_id)
    return catalogue.resume(token.identity, str(run_id))
