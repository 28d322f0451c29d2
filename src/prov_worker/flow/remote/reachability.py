"""Collections of a flow, asked whether they are online and what is at the paths that it uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from prov_worker.errors import ProvWorkerError
from prov_worker.flow.remote.uses import PathUse
from prov_worker.printable import line

if TYPE_CHECKING:
    from globus_sdk import TransferClient

    from prov_worker.flow.remote.service import FlowsService

_UNKNOWN, _ONLINE, _MISSING = "unknown", "online", "not there"
_CHARACTERS = 200


@dataclass
class Reached:
    """What collections have answered.

    Attributes:
        collections: status of each by its id.
        paths: of each path, ``COLLECTION:PATH``, what is there.
        problems: what speaks against a run.
    """

    collections: dict[str, str] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def look(service: FlowsService, uses: Sequence[PathUse]) -> Reached:
    """Ask Globus Transfer about the paths that a flow uses; nothing is changed.

    Args:
        service: whose credentials are used.
        uses: the paths.
    """
    reached = Reached()
    if not uses:
        return reached
    from globus_sdk import TransferClient

    client = TransferClient(app=service.app)
    for use in uses:
        if use.collection not in reached.collections:
            status = reached.collections[use.collection] = _status(client, use.collection)
            if status not in (_ONLINE, _UNKNOWN):
                reached.problems.append(f"collection {use.collection} is {status}")
        if reached.collections[use.collection] != _ONLINE:
            continue
        name = f"{use.collection}:{line(use.path)}"
        if name not in reached.paths:
            reached.paths[name] = _kind(client, use.collection, use.path)
        problem = _problem(use, reached.paths[name])
        if problem:
            reached.problems.append(f"{use.state}: {name} {problem}")
    return reached


def _problem(use: PathUse, kind: str) -> str:
    if kind == _MISSING:
        return "is not there" if use.at_start else ""
    if kind not in ("file", "dir"):
        return "" if kind == _UNKNOWN else kind
    if use.reads and use.recursive is not None and use.recursive is not (kind == "dir"):
        return "is a directory, and recursive is false" if kind == "dir" else "is a file, and recursive is true"
    if not use.reads and use.recursive and kind == "file":
        return "is a file: a directory is to be written there"
    return ""


def _status(client: TransferClient, collection: str) -> str:
    from globus_sdk import GlobusAPIError, GlobusError

    try:
        document: Mapping[str, Any] = client.get_endpoint(collection).data
    except GlobusAPIError as error:
        return "not there, or not shown to you" if error.http_status in (400, 403, 404) else _UNKNOWN
    except (GlobusError, ProvWorkerError):
        return _UNKNOWN
    if document.get("gcp_paused"):
        return "paused"
    return "not connected" if document.get("gcp_connected") is False else _ONLINE


def _kind(client: TransferClient, collection: str, path: str) -> str:
    """Return what is at a path: ``file``, ``dir``, not there, or why that is unknown."""
    from globus_sdk import GlobusAPIError, GlobusError

    try:
        return str(client.operation_stat(collection, path)["type"])
    except GlobusAPIError as error:
        if error.http_status == 404:
            return _MISSING
        if error.code == "ConsentRequired":
            return f"cannot be seen without the consent data_access: --login --data-access {collection}"
        if error.http_status == 403:
            return f"cannot be accessed: {line(str(error.message))[:_CHARACTERS]}"
        return _UNKNOWN
    except (GlobusError, ProvWorkerError):
        return _UNKNOWN
