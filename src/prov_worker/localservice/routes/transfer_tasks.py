"""Routes of Globus Transfer: tasks. As globus-sdk and globus-cli use them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from prov_worker.localservice.apierrors import NO_TOKEN, NO_TOKEN_HEADERS, ApiError
from prov_worker.localservice.flows import scopes
from prov_worker.localservice.identities import Identity
from prov_worker.localservice.routes.common import ServiceDep, StrictRoute, errors, valid_token
from prov_worker.localservice.routes.flows import Body, Credentials
from prov_worker.localservice.transfers import documents, filters
from prov_worker.localservice.transfers.collections import Collection
from prov_worker.localservice.transfers.errors import PREFIX, TransferError
from prov_worker.localservice.transfers.records import DELETE, TRANSFER
from prov_worker.localservice.transfers.submission import bad
from prov_worker.localservice.transfers.transfers import Transfers

SERVER = "transfer.api.globus.org"
router = APIRouter(tags=["transfer"], route_class=StrictRoute, prefix=PREFIX)
Limit = Annotated[int, Query(ge=0, le=1000)]
Offset = Annotated[int, Query(ge=0, le=1_000_000)]
#: Of files that a task has sent.
_FILES = 1000


def transfers_of(service: ServiceDep) -> Transfers:
    """Return the tasks of the service that a request is for."""
    assert service.rehearsal is not None
    return service.rehearsal.transfers


def _caller(service: ServiceDep, credentials: Credentials) -> Identity:
    token = valid_token(service, credentials.credentials if credentials else "")
    if token.resource_server != SERVER or scopes.TRANSFER_SCOPE not in map(scopes.root, scopes.split(token.scope)):
        raise ApiError(401, NO_TOKEN, "AuthenticationFailed", NO_TOKEN_HEADERS)
    return token.identity


TransfersDep = Annotated[Transfers, Depends(transfers_of)]
Caller = Annotated[Identity, Depends(_caller)]


def need_consents(service: ServiceDep, identity: Identity, collections: Sequence[Collection]) -> None:
    """Refuse an identity that has not consented to the access to data of a mapped collection.

    Raises:
        TransferError: 403, with the scope that is missing.
    """
    given = service.storage.flow_store().consents(identity.client_id)
    given = [scope for scope in given if scopes.root(scope) == scopes.TRANSFER_SCOPE]
    wanted = [scopes.data_access(collection.id) for collection in collections if collection.data_access]
    missing = [scope for scope in wanted if not any(scope in consent for consent in given)]
    if missing:
        needed = [f"{scopes.TRANSFER_SCOPE}[*{scope}]" for scope in missing]
        reason = "Missing required data_access consent"
        raise TransferError(403, "ConsentRequired", reason, {"required_scopes": needed})


def page_of(kind: str, items: Sequence[Mapping[str, Any]], limit: int, offset: int) -> dict[str, Any]:
    """Return a page of a list."""
    page = items[offset : offset + limit]
    more = offset + limit < len(items)
    return {
        "DATA_TYPE": kind,
        "DATA": list(page),
        "length": len(page),
        "limit": limit,
        "offset": offset,
        "total": len(items),
        "has_next_page": more,
    }


def _submit(service: ServiceDep, transfers: Transfers, caller: Identity, kind: str, body: Body) -> dict[str, Any]:
    keys = ("source_endpoint", "destination_endpoint") if kind == TRANSFER else ("endpoint",)
    collections = [transfers.collection(body[key], caller) for key in keys if isinstance(body.get(key), str)]
    need_consents(service, caller, collections)
    try:
        uuid.UUID(str(body.get("submission_id")))
    except ValueError:
        raise bad("submission_id: expected one that was asked for") from None
    task, repeated = transfers.submit(caller, kind, body)
    return documents.submitted(task, repeated=repeated)


@router.get("/submission_id", responses=errors(401))
def submission_id(caller: Caller) -> Any:
    """Return an id under which a task can be submitted once."""
    return {"DATA_TYPE": "submission_id", "value": str(uuid.uuid4())}


@router.post("/transfer", status_code=202, responses=errors(400, 401, 403, 404, 409))
def submit_transfer(body: Body, caller: Caller, service: ServiceDep, transfers: TransfersDep) -> Any:
    """Take a transfer."""
    return _submit(service, transfers, caller, TRANSFER, body)


@router.post("/delete", status_code=202, responses=errors(400, 401, 403, 404, 409))
def submit_delete(body: Body, caller: Caller, service: ServiceDep, transfers: TransfersDep) -> Any:
    """Take a deletion."""
    return _submit(service, transfers, caller, DELETE, body)


@router.get("/task_list", responses=errors(400, 401, 422))
def task_list(
    caller: Caller,
    transfers: TransfersDep,
    filter: str | None = None,  # noqa: A002 - the service's own word for it
    orderby: str | None = None,
    limit: Limit = 10,
    offset: Offset = 0,
) -> Any:
    """List tasks of the caller, newest first."""
    shown = [
        documents.task_document(task, caller, transfers.collections) for task in transfers.store.tasks(caller.client_id)
    ]
    kept = filters.ordered(filters.kept(shown, [filter or ""]), orderby)
    return page_of("task_list", kept, limit, offset)


@router.get("/task/{task_id}", responses=errors(401, 404, 422))
def show_task(task_id: uuid.UUID, caller: Caller, transfers: TransfersDep) -> Any:
    """Show a task."""
    return documents.task_document(transfers.task(caller, str(task_id)), caller, transfers.collections)


@router.put("/task/{task_id}", responses=errors(400, 401, 404, 409, 422))
def update_task(task_id: uuid.UUID, body: Body, caller: Caller, transfers: TransfersDep) -> Any:
    """Change label and deadline of a task that is under way."""
    transfers.update(transfers.task(caller, str(task_id)), body)
    return documents.result("result", "Updated", "Updated task successfully", f"/task/{task_id}")


@router.post("/task/{task_id}/cancel", responses=errors(401, 404, 422))
def cancel_task(task_id: uuid.UUID, caller: Caller, transfers: TransfersDep) -> Any:
    """End a task that is under way."""
    resource = f"/task/{task_id}/cancel"
    if transfers.cancel(transfers.task(caller, str(task_id))):
        return documents.result("result", "Canceled", "The task has been cancelled successfully.", resource)
    return documents.result("result", "TaskComplete", "The task completed before the cancel request.", resource)


@router.get("/task/{task_id}/event_list", responses=errors(400, 401, 404, 422))
def event_list(
    task_id: uuid.UUID,
    caller: Caller,
    transfers: TransfersDep,
    filter: str | None = None,  # noqa: A002 - the service's own word for it
    limit: Limit = 10,
    offset: Offset = 0,
) -> Any:
    """List the log of a task, newest first."""
    events = transfers.store.events(transfers.task(caller, str(task_id)).id)
    shown = [documents.event_document(event) for event in events]
    return page_of("event_list", filters.kept(shown, [filter or ""]), limit, offset)


def _files(task_id: uuid.UUID, caller: Identity, transfers: Transfers, marker: str | None, *, skipped: bool) -> Any:
    after = int(marker) if marker and marker.isdecimal() and len(marker) < 18 else 0
    task = transfers.task(caller, str(task_id))
    files = transfers.store.files(task.id, after, _FILES + 1, skipped=skipped)
    return documents.files_document(files, after, _FILES, skipped=skipped)


@router.get("/task/{task_id}/successful_transfers", responses=errors(401, 404, 422))
def successful_transfers(task_id: uuid.UUID, caller: Caller, transfers: TransfersDep, marker: str | None = None) -> Any:
    """List the files that a task has sent."""
    return _files(task_id, caller, transfers, marker, skipped=False)


@router.get("/task/{task_id}/skipped_errors", responses=errors(401, 404, 422))
def skipped_errors(task_id: uuid.UUID, caller: Caller, transfers: TransfersDep, marker: str | None = None) -> Any:
    """List what a task has left out."""
    return _files(task_id, caller, transfers, marker, skipped=True)


@router.get("/task/{task_id}/pause_info", responses=errors(401, 404, 422))
def pause_info(task_id: uuid.UUID, caller: Caller, transfers: TransfersDep) -> Any:
    """Say why a task is paused: here none ever is."""
    transfers.task(caller, str(task_id))
    return {"DATA_TYPE": "pause_info_limited", "pause_rules": [], "source_pause_message": None,
            "destination_pause_message": None}  # fmt: skip
