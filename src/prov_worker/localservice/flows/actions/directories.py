"""Globus Transfer's small actions: make, list and delete what is in a collection.

Source: https://docs.globus.org/api/transfer/action-providers/.
"""

from __future__ import annotations

import datetime
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from prov_worker.localservice.flows.actions.provider import Request, Status, UnableError
from prov_worker.localservice.flows.collections import Collection, Collections, PlaceError

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


def _path(body: Mapping[str, Any], key: str = "path") -> str:
    path = body.get(key, "/")
    if not isinstance(path, str):
        raise PlaceError("BadRequest", f"{key}: expected a text")
    return path


def make_directory(collection: Collection, body: Mapping[str, Any]) -> dict[str, Any]:
    """Make a directory; one that is there is left as it is."""
    collection.locate(_path(body)).mkdir(parents=True, exist_ok=True)
    return {"code": "DirectoryCreated", "message": "The directory was created successfully"}


def list_directory(collection: Collection, body: Mapping[str, Any]) -> dict[str, Any]:
    """List a directory."""
    path = _path(body)
    place = collection.locate(path)
    if not place.is_dir():
        raise PlaceError("ClientError.NotFound", f"{path}: no such directory in {collection.name}")
    return {"path": path, "DATA": [_described(child) for child in sorted(place.iterdir())]}


def describe(collection: Collection, body: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a file or directory."""
    path = _path(body)
    place = collection.locate(path)
    if not place.exists():
        raise PlaceError("ClientError.NotFound", f"{path}: nothing there in {collection.name}")
    return _described(place)


def delete(collection: Collection, body: Mapping[str, Any]) -> dict[str, Any]:
    """Delete files, and directories if that is asked for."""
    items = body.get("DATA", body.get("items"))
    if not isinstance(items, list) or not items:
        raise PlaceError("BadRequest", "DATA: expected a list with an item at least")
    for item in items:
        path = _path(item if isinstance(item, Mapping) else {"path": item})
        place = collection.locate(path)
        if place == Path(os.path.realpath(collection.root)):
            raise PlaceError("PermissionDenied", f"{path}: the whole of {collection.name} is not deleted")
        if not place.exists():
            if body.get("ignore_missing") is True:
                continue
            raise PlaceError("FileNotFound", f"{path}: nothing there in {collection.name}")
        if not place.is_dir():
            place.unlink()
        elif body.get("recursive") is True:
            shutil.rmtree(place)
        else:
            raise PlaceError("FileNotFound", f"{path} is a directory, and recursive is not true")
    return {"status": "SUCCEEDED", "files": len(items)}


def _described(place: Path) -> dict[str, Any]:
    status = place.lstat()
    changed = datetime.datetime.fromtimestamp(status.st_mtime, datetime.timezone.utc)
    return {
        "name": place.name,
        "type": "dir" if place.is_dir() else "file",
        "size": status.st_size,
        "last_modified": changed.strftime("%Y-%m-%d %H:%M:%S+00:00"),
    }
