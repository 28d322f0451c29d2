"""Documents of Transfer, in the form of ``globus_sdk.testing``'s examples."""

from __future__ import annotations

import datetime
import time
from collections.abc import Mapping, Sequence
from typing import Any

from prov_worker.localservice.identities import Identity
from prov_worker.localservice.transfers.collections import Collection, Collections, PlaceError
from prov_worker.localservice.transfers.errors import PREFIX, request_id
from prov_worker.localservice.transfers.records import ACTIVE, FAILED, TRANSFER, Task

_ACCEPTED = {
    "Accepted": "The {kind} has been accepted and a task has been created and queued for execution",
    "Duplicate": "A submission with the same id was already processed; its task is returned",
}


def time_text(seconds: float | None) -> str | None:
    """Return a time as Transfer writes it; None for none."""
    if seconds is None:
        return None
    return datetime.datetime.fromtimestamp(int(seconds), datetime.timezone.utc).isoformat()


def result(kind: str, code: str, message: str, resource: str) -> dict[str, Any]:
    """Return the answer to what has been done."""
    return {
        "DATA_TYPE": kind,
        "code": code,
        "message": message,
        "request_id": request_id(),
        "resource": f"{PREFIX}{resource}",
    }


def submitted(task: Task, *, repeated: bool) -> dict[str, Any]:
    """Return the answer to a submission."""
    name, code = task.kind.lower(), "Duplicate" if repeated else "Accepted"
    return {
        **result(f"{name}_result", code, _ACCEPTED[code].format(kind=name), f"/{name}"),
        "submission_id": task.submission,
        "task_id": task.id,
        "task_link": {
            "DATA_TYPE": "link",
            "href": f"{PREFIX}/task/{task.id}?format=json",
            "rel": "related",
            "resource": "task",
            "title": "related task",
        },
    }


def task_document(task: Task, owner: Identity | None, collections: Collections) -> dict[str, Any]:
    """Return a task as its owner sees it."""
    numbers = {key: value for key, value in task.progress.items() if key not in ("items_done", "fault", "begun")}
    items, done = len(task.body["DATA"]), task.progress["items_done"]
    under_way = task.status == ACTIVE
    fault = task.progress.get("fault") if under_way else None
    canceled = (task.progress["fatal_error"] or {}).get("code") == "CANCELED"
    until = time.time() if task.completed is None else task.completed
    status = fault or ("OK" if task.progress["items_done"] or numbers["files"] else "Queued")
    first, second = ("source_endpoint", "destination_endpoint") if task.kind == TRANSFER else ("endpoint", None)
    ends: dict[str, Any] = _end("source", task.body[first], task.owner, collections)
    ends |= _end("destination", task.body[second] if second else None, task.owner, collections)
    options = {key: value for key, value in task.body.items() if isinstance(value, (bool, int)) and key != "recursive"}
    return {
        "DATA_TYPE": "task",
        "task_id": task.id,
        "type": task.kind,
        "status": task.status,
        "label": task.body["label"],
        "owner_id": task.owner,
        "username": owner.username if owner is not None else task.owner,
        "command": "API 0.10",
        "request_time": time_text(task.requested),
        "completion_time": time_text(task.completed),
        "deadline": time_text(task.deadline),
        **ends,
        "sync_level": None,
        "filter_rules": task.body.get("filter_rules") or None,
        "recursive_symlinks": task.body.get("recursive_symlinks", "ignore"),
        **options,
        **numbers,
        "bytes_checksummed": 0,
        "symlinks": 0,
        "effective_bytes_per_second": int(numbers["bytes_transferred"] / max(until - task.requested, 1.0)),
        "subtasks_total": items,
        "subtasks_succeeded": done - numbers["subtasks_skipped_errors"],
        "subtasks_pending": items - done if under_way else 0,
        "subtasks_retrying": int(fault is not None),
        "subtasks_failed": items - done if task.status == FAILED and not canceled else 0,
        "subtasks_canceled": items - done if canceled else 0,
        "subtasks_expired": 0,
        "is_ok": fault is None if under_way else None,
        "is_paused": False,
        "history_deleted": False,
        "canceled_by_admin": None,
        "canceled_by_admin_message": None,
        "nice_status": status if under_way else None,
        "nice_status_short_description": status if under_way else None,
        "nice_status_details": None,
        "nice_status_expires_in": -1 if under_way else None,
    }


def _end(name: str, collection_id: str | None, identity: str, collections: Collections) -> dict[str, Any]:
    shown = None
    if collection_id is not None:
        try:
            shown = collections.get(collection_id, identity).name
        except PlaceError:
            shown = "n/a"
    return {
        f"{name}_endpoint_id": collection_id,
        f"{name}_endpoint": shown,
        f"{name}_endpoint_display_name": shown,
    }


def event_document(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return a line of a task's log."""
    return {
        "DATA_TYPE": "event",
        "code": event["code"],
        "description": event["description"],
        "details": event["details"],
        "is_error": bool(event["is_error"]),
        "parent_task_id": None,
        "time": time_text(event["time"]),
    }


def files_document(files: Sequence[Mapping[str, Any]], after: int, limit: int, *, skipped: bool) -> dict[str, Any]:
    """Return a page of files that a task has sent, or left out."""
    name = "skipped_errors" if skipped else "successful_transfers"
    kind = "skipped_error" if skipped else "successful_transfer"
    page = files[:limit]
    return {
        "DATA_TYPE": name,
        "marker": after,
        "next_marker": page[-1]["seq"] if len(files) > limit else None,
        "DATA": [
            {
                "DATA_TYPE": kind,
                "source_path": file["source_path"],
                "destination_path": file["destination_path"],
                **(
                    {"error_code": file["error_code"], "is_directory": False, "error_details": ""}
                    if skipped
                    else {"size": file["size"], "checksum": None, "checksum_algorithm": None, "dynamic": False}
                ),
            }
            for file in page
        ],
    }


def endpoint_document(collection: Collection) -> dict[str, Any]:
    """Return a collection: a mapped one of a server if it asks for a consent, else one of a personal computer."""
    mapped = collection.data_access or collection.high_assurance
    return {
        "DATA_TYPE": "endpoint",
        "id": collection.id,
        "display_name": collection.name,
        "canonical_name": f"local#{collection.id}",
        "entity_type": "GCSv5_mapped_collection" if mapped else "GCP_mapped_collection",
        "description": "a directory of a rehearsal",
        "organization": None,
        "department": None,
        "keywords": None,
        "contact_email": None,
        "contact_info": None,
        "info_link": None,
        "owner_id": None,
        "owner_string": "local service",
        "username": None,
        "public": collection.identities is None,
        "default_directory": "/",
        "force_encryption": False,
        "high_assurance": collection.high_assurance,
        "is_globus_connect": not mapped,
        "gcp_connected": None if mapped else True,
        "gcp_paused": None if mapped else False,
        "acl_available": False,
        "acl_editable": False,
        "shareable": False,
        "in_use": False,
        "non_functional": False,
        "host_endpoint_id": None,
        "host_path": None,
        "subscription_id": None,
        "local_user_info_available": False,
        "gcs_manager_url": None,
        "DATA": [],
    }
