"""Routes of Globus Flows: flows. As globus-sdk and globus-cli use them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.security import HTTPAuthorizationCredentials

from prov_worker.localservice.apierrors import NO_TOKEN, NO_TOKEN_HEADERS, ApiError
from prov_worker.localservice.flows import documents, scopes, validation
from prov_worker.localservice.flows.catalogue import Catalogue
from prov_worker.localservice.flows.errors import FlowsError
from prov_worker.localservice.identities import Identity
from prov_worker.localservice.routes.common import ServiceDep, StrictRoute, bearer, errors, valid_token
from prov_worker.localservice.tokens import COMPUTE_SERVER, FLOWS_SERVER, Token

router = APIRouter(tags=["flows"], route_class=StrictRoute)
#: Of a list, and the most that can be asked for.
PAGE, MOST = 20, 100
Body = dict[str, Any]
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]


def catalogue_of(service: ServiceDep) -> Catalogue:
    """Return the flows of the service that a request is for."""
    assert service.rehearsal is not None
    return service.rehearsal.catalogue


CatalogueDep = Annotated[Catalogue, Depends(catalogue_of)]


def with_scope(*names: str) -> Callable[..., Identity]:
    """Return a dependency that wants a token of Flows with one of some scopes, or with all."""

    def identity(service: ServiceDep, credentials: Credentials) -> Identity:
        token = valid_token(service, credentials.credentials if credentials else "")
        wanted = tuple(map(scopes.flows_scope, (*names, "all")))
        if token.resource_server == FLOWS_SERVER:
            scopes.check(token.scope, wanted)
            return token.identity
        raise _not_for(token, wanted[0])

    return identity


def _not_for(token: Token, wanted: str) -> ApiError:
    """Return a token of another service: one of a flow lacks a scope, and others are not valid here."""
    if token.resource_server in (COMPUTE_SERVER, "auth.globus.org"):
        return ApiError(401, NO_TOKEN, "AUTHENTICATION_ERROR", NO_TOKEN_HEADERS)
    return FlowsError(403, "MISSING_SCOPE", f"This action requires the following scope: {wanted}")


def flow_token(service: ServiceDep, credentials: Credentials, flow_id: str) -> Token:
    """Return a token that may run a flow.

    Raises:
        FlowsError: 403: it is of Flows, or of another flow.
        ApiError: 401.
    """
    token = valid_token(service, credentials.credentials if credentials else "")
    wanted = scopes.flow_scope(flow_id)
    if token.resource_server != flow_id:
        raise _not_for(token, wanted)
    scopes.check(token.scope, (wanted,))
    return token


Manager = Annotated[Identity, Depends(with_scope("manage_flows"))]
Viewer = Annotated[Identity, Depends(with_scope("view_flows", "manage_flows"))]


def page_of(items: Sequence[Any], marker: str | None, limit: int) -> tuple[Sequence[Any], dict[str, Any]]:
    """Return a page of a list, and what says how to go on; a marker is a number of items."""
    start = int(marker) if marker and marker.isdecimal() and len(marker) < 10 else 0
    more = len(items) > start + limit
    return items[start : start + limit], {
        "limit": limit,
        "has_next_page": more,
        "marker": str(start + limit) if more else None,
    }


def parts_of(text: str | None) -> set[str]:
    """Return the members of a list with commas."""
    return {part.strip() for part in (text or "").split(",") if part.strip()}


def _given(body: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if value is not None or key == "subscription_id"}


@router.post("/flows", status_code=201, responses=errors(400, 401, 403, 413, 422))
def create_flow(body: Body, caller: Manager, catalogue: CatalogueDep) -> Any:
    """Deploy a flow."""
    return catalogue.create(caller, _given(body))


@router.post("/flows/validate", responses=errors(400, 401, 403, 422))
def validate_flow(body: Body, caller: Manager) -> Any:
    """Check a definition and a schema."""
    validation.refuse_wrong(body.get("definition"), body.get("input_schema"))
    ways = validation.traversals(body["definition"])
    return {"scopes": {"User": validation.scopes_of(body["definition"])}, "analysis": {"number_of_possibilities": ways}}


@router.get("/flows", responses=errors(401, 403, 422))
def list_flows(
    caller: Viewer,
    catalogue: CatalogueDep,
    filter_role: str | None = None,
    filter_roles: str | None = None,
    filter_fulltext: str | None = None,
    orderby: str | None = None,
    marker: str | None = None,
    per_page: Annotated[int, Query(ge=1, le=MOST)] = PAGE,
) -> Any:
    """List the flows in which the caller has a role."""
    flows = catalogue.flows(caller, parts_of(filter_roles) | parts_of(filter_role))
    if filter_fulltext:
        flows = [flow for flow in flows if filter_fulltext.lower() in _searched(flow.content)]
    shown = [documents.flow_document(flow, caller) for flow in flows]
    page, more = page_of(documents.ordered(shown, orderby), marker, per_page)
    return {"flows": list(page), **more}


def _searched(content: Mapping[str, Any]) -> str:
    texts = [content[key] for key in ("title", "subtitle", "description")]
    return " ".join([*texts, *content["keywords"]]).lower()


@router.get("/flows/{flow_id}", responses=errors(401, 403, 404, 422))
def show_flow(flow_id: uuid.UUID, caller: Viewer, catalogue: CatalogueDep) -> Any:
    """Show a flow."""
    return documents.flow_document(catalogue.flow(caller, str(flow_id)), caller)


@router.put("/flows/{flow_id}", responses=errors(400, 401, 403, 404, 413, 422))
def update_flow(flow_id: uuid.UUID, body: Body, caller: Manager, catalogue: CatalogueDep) -> Any:
    """Change what is given of a flow."""
    return catalogue.update(caller, str(flow_id), _given(body))


@router.delete("/flows/{flow_id}", responses=errors(401, 403, 404, 422))
def delete_flow(flow_id: uuid.UUID, caller: Manager, catalogue: CatalogueDep) -> Any:
    """Forget a flow; its runs stay."""
    return catalogue.delete(caller, str(flow_id))


@router.post("/flows/{flow_id}/validate_run", responses=errors(400, 401, 403, 404, 413, 422))
def validate_run(
    flow_id: uuid.UUID, body: Body, service: ServiceDep, credentials: Credentials, catalogue: CatalogueDep
) -> Any:
    """Check the input of a run, and whether the caller may start it."""
    token = flow_token(service, credentials, str(flow_id))
    catalogue.validate_run(token.identity, str(flow_id), body)
    return {"message": "validation successful"}


@router.post("/flows/{flow_id}/run", status_code=201, responses=errors(400, 401, 403, 404, 413, 422, 429))
def run_flow(
    flow_id: uuid.UUID, body: Body, service: ServiceDep, credentials: Credentials, catalogue: CatalogueDep
) -> Any:
    """Start a run."""
    token = flow_token(service, credentials, str(flow_id))
    return catalogue.start(token.identity, str(flow_id), body)
