"""Routes of Globus Transfer: collections, and what is done in them at once. As globus-sdk and globus-cli use them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Query

from prov_worker.localservice.identities import Identity
from prov_worker.localservice.routes.common import ServiceDep, StrictRoute, errors
from prov_worker.localservice.routes.flows import Body
from prov_worker.localservice.routes.transfer_tasks import (
    Caller,
    Limit,
    Offset,
    TransfersDep,
    need_consents,
    page_of,
)
from prov_worker.localservice.transfers import documents, filters, operations
from prov_worker.localservice.transfers.collections import Collection, PlaceError
from prov_worker.localservice.transfers.errors import PREFIX, TransferError
from prov_worker.localservice.transfers.operations import DENIED, NOT_FOUND
from prov_worker.localservice.transfers.submission import bad
from prov_worker.localservice.transfers.transfers import Transfers

router = APIRouter(tags=["transfer"], route_class=StrictRoute, prefix=PREFIX)
_MOST_FILES = 100_000
_MINE = ("my-endpoints", "my-gcp-endpoints", "recently-used", "in-use", "administered-by-me", "shared-by-me",
         "shared-with-me")  # fmt: skip


def _collection(endpoint_id: uuid.UUID, caller: Identity, service: ServiceDep, transfers: Transfers) -> Collection:
    """Return a collection whose files the caller may see."""
    collection = transfers.collection(str(endpoint_id), caller)
    need_consents(service, caller, [collection])
    return collection


@contextmanager
def _refusing(operation: str) -> Iterator[None]:
    """Turn what goes wrong in a directory into answers."""
    try:
        yield
    except PlaceError as error:
        status, code = 502, error.code
        if code == NOT_FOUND:
            status = 404
        elif code == DENIED:
            status, code = 403, "EndpointPermissionDenied"
        raise TransferError(status, code, str(error)) from None
    except PermissionError as error:
        raise TransferError(403, "EndpointPermissionDenied", f"Denied by endpoint: {error.strerror}") from None
    except OSError as error:
        raise TransferError(502, f"ExternalError.{operation}Failed", error.strerror or str(error)) from None


def _text(body: Body, key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str) or not value:
        raise bad(f"{key}: expected a path")
    return value


@router.get("/endpoint/{endpoint_id}", responses=errors(401, 404, 422))
def show_endpoint(endpoint_id: uuid.UUID, caller: Caller, transfers: TransfersDep) -> Any:
    """Show a collection."""
    return documents.endpoint_document(transfers.collection(str(endpoint_id), caller))


@router.get("/endpoint_search", responses=errors(400, 401, 422))
def endpoint_search(
    caller: Caller,
    transfers: TransfersDep,
    filter_fulltext: str | None = None,
    filter_scope: str = "all",
    filter_entity_type: str | None = None,
    limit: Limit = 100,
    offset: Offset = 0,
) -> Any:
    """Find collections that the caller may use."""
    if filter_scope not in ("all", *_MINE):
        raise bad(f"filter_scope: expected all or one of {', '.join(_MINE)}")
    if filter_scope == "all" and not filter_fulltext:
        raise bad("filter_fulltext: is needed with filter_scope all")
    parts = (filter_fulltext or "").lower().split()
    matches = []
    for collection in transfers.collections:
        shown = documents.endpoint_document(collection)
        text = f"{collection.name} {collection.id}".lower()
        usable = collection.identities is None or caller.client_id in collection.identities
        if usable and all(part in text for part in parts) and filter_entity_type in (None, shown["entity_type"]):
            matches.append(shown)
    return page_of("endpoint_list", matches, limit, offset)


@router.get("/operation/endpoint/{endpoint_id}/ls", responses=errors(400, 401, 403, 404, 422))
def list_directory(
    endpoint_id: uuid.UUID,
    caller: Caller,
    service: ServiceDep,
    transfers: TransfersDep,
    path: str = "/",
    show_hidden: bool = True,
    filter: Annotated[list[str] | None, Query()] = None,  # noqa: A002 - the service's own word for it
    orderby: str | None = None,
    limit: Annotated[int, Query(ge=0, le=_MOST_FILES)] = _MOST_FILES,
    offset: Offset = 0,
) -> Any:
    """List a directory."""
    collection = _collection(endpoint_id, caller, service, transfers)
    with _refusing("DirListing"):
        children = operations.list_directory(collection, path)
    children = [child for child in children if show_hidden or not child["name"].startswith(".")]
    shown = filters.ordered(filters.kept(children, filter or []), orderby)
    page = page_of("file_list", shown, limit, offset)
    directory = f"{path.rstrip('/')}/"
    more = {"path": directory, "absolute_path": directory.removeprefix("/~") or "/", "endpoint": collection.id}
    return {**page, **more, "rename_supported": True, "symlink_supported": False}


@router.get("/operation/endpoint/{endpoint_id}/stat", responses=errors(400, 401, 403, 404, 422))
def describe(
    endpoint_id: uuid.UUID, caller: Caller, service: ServiceDep, transfers: TransfersDep, path: str = "/"
) -> Any:
    """Describe a file or directory."""
    collection = _collection(endpoint_id, caller, service, transfers)
    try:
        with _refusing("Stat"):
            return operations.describe(collection, path)
    except TransferError as error:
        # Of this operation the code is shorter (``globus_sdk.testing``: ``operation_stat``).
        raise TransferError(error.status, "NotFound" if error.status == 404 else error.code, error.reason) from None


@router.post("/operation/endpoint/{endpoint_id}/mkdir", status_code=202, responses=errors(400, 401, 403, 404, 422))
def make_directory(
    endpoint_id: uuid.UUID, body: Body, caller: Caller, service: ServiceDep, transfers: TransfersDep
) -> Any:
    """Make a directory."""
    collection, path = _collection(endpoint_id, caller, service, transfers), _text(body, "path")
    with _refusing("Mkdir"):
        if not operations.make_directory(collection, path):
            raise PlaceError("ExternalError.MkdirFailed.Exists", f"Path already exists: {path}")
    resource = f"/operation/endpoint/{endpoint_id}/mkdir"
    return documents.result("mkdir_result", "DirectoryCreated", "The directory was created successfully", resource)


@router.post("/operation/endpoint/{endpoint_id}/rename", responses=errors(400, 401, 403, 404, 422))
def rename(endpoint_id: uuid.UUID, body: Body, caller: Caller, service: ServiceDep, transfers: TransfersDep) -> Any:
    """Rename a file or directory."""
    collection = _collection(endpoint_id, caller, service, transfers)
    old, new = (_text(body, key) for key in ("old_path", "new_path"))
    with _refusing("Rename"):
        operations.rename(collection, old, new)
    resource = f"/operation/endpoint/{endpoint_id}/rename"
    return documents.result("result", "FileRenamed", "File or directory renamed successfully", resource)
