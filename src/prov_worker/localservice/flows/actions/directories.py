"""Globus Transfer's small actions: make, list and describe what is in a collection.

Source: https://docs.globus.org/api/transfer/action-providers/.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from prov_worker.localservice.flows.actions.provider import Request, Status, UnableError
from prov_worker.localservice.transfers import operations
from prov_worker.localservice.transfers.collections import Collection, Collections, PlaceError

_Work = Callable[[Collection, Mapping[str, Any]], Any]


class DirectoryProvider:
    """Does at once what it is for.

    Args:
        collections: in which.
        work: what it does; returns the details.
    """

    def __init__(self, collections: Collections, work: _Work) -> None:
        self._collections, self._work = collections, work

    def prepare(self, request: Request) -> dict[str, Any]:
        """See :class:`Provider`."""
        self._collection(request)
        return {}

    def _collection(self, request: Request) -> Collection:
        body = request.body
        try:
            return self._collections.get(body.get("endpoint_id", body.get("endpoint")), request.identity.client_id)
        except PlaceError as error:
            raise UnableError(str(error)) from None

    def look(self, request: Request, note: Mapping[str, Any]) -> Status:
        """See :class:`Provider`; what is done twice is done once."""
        try:
            return Status(True, self._work(self._collection(request), request.body), request.id)
        except PlaceError as error:
            return Status(False, {"code": error.code, "message": str(error)}, request.id)
        except OSError as error:
            return Status(False, {"code": "ExternalError", "message": error.strerror or str(error)}, request.id)

    def cancel(self, request: Request) -> None:
        """Do nothing: what it does is done at once."""


def _path(body: Mapping[str, Any]) -> str:
    path = body.get("path", "/")
    if not isinstance(path, str):
        raise PlaceError("BadRequest", "path: expected a text")
    return path


def make_directory(collection: Collection, body: Mapping[str, Any]) -> dict[str, Any]:
    """Make a directory; one that is there is left as it is."""
    operations.make_directory(collection, _path(body))
    return {"code": "DirectoryCreated", "message": "The directory was created successfully"}


def list_directory(collection: Collection, body: Mapping[str, Any]) -> dict[str, Any]:
    """List a directory."""
    path = _path(body)
    return {"path": path, "DATA": operations.list_directory(collection, path)}


def describe(collection: Collection, body: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a file or directory."""
    return operations.describe(collection, _path(body))
