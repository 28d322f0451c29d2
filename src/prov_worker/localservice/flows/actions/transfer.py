"""Globus Transfer's action between directories that stand for collections.

Source: https://docs.globus.org/api/transfer/action-providers/.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from prov_worker.localservice.flows.actions.provider import ConsentError, Request, Status, UnableError
from prov_worker.localservice.flows.actions.rsync import CopyError, Item, Rsync
from prov_worker.localservice.flows.collections import Collections, PlaceError
from prov_worker.localservice.flows.scopes import data_access

_log = logging.getLogger(__name__)
#: Copies at a time.
_THREADS = 4
#: Tries of an item, and the longest wait between two of them.
_TRIES, _LONGEST_S = 10, 30.0
#: Names of a transfer's parameters in the retired provider.
_OLD = {"source_endpoint": "source_endpoint_id", "destination_endpoint": "destination_endpoint_id"}


@dataclass
class _Job:
    copy: Rsync
    details: dict[str, Any]
    ended: threading.Event = field(default_factory=threading.Event)
    fatal: tuple[str, str] | None = None


class TransferProvider:
    """Copies files.

    Args:
        collections: between which.
        wake: is called when a copy ends.
        limit_kib: KiB per second of each; 0 for as fast as it goes.
    """

    def __init__(self, collections: Collections, wake: Any, limit_kib: int = 0) -> None:
        self._collections, self._wake, self._limit_kib = collections, wake, limit_kib
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="transfer")
        self._jobs: dict[str, _Job] = {}

    def prepare(self, request: Request) -> dict[str, Any]:
        """See :class:`Provider`."""
        body = request.body
        ends = []
        for key, old in _OLD.items():
            value = body.get(key, body.get(old))
            try:
                ends.append(self._collections.get(value, request.identity.client_id))
            except PlaceError as error:
                raise UnableError(f"{key}: {error}") from None
            if ends[-1].data_access and data_access(ends[-1].id) not in request.consents:
                raise ConsentError(data_access(ends[-1].id), f"{ends[-1].name} needs the consent data_access")
        items = body.get("DATA", body.get("transfer_items"))
        if not isinstance(items, list) or not items:
            raise UnableError("DATA: expected a list with an item at least")
        level = body.get("sync_level")
        if level is not None and (isinstance(level, bool) or level not in (0, 1, 2, 3)):
            raise UnableError(f"sync_level: {level!r}: expected 0, 1, 2 or 3")
        return {"items": [_item(item, number) for number, item in enumerate(items)]}

    def look(self, request: Request, note: Mapping[str, Any]) -> Status | None:
        """See :class:`Provider`: a copy that a restart has cut off begins again, and sends what is missing."""
        job = self._jobs.get(request.id)
        if job is None:
            body = request.body
            copy = Rsync(
                body.get("sync_level"),
                times=body.get("preserve_timestamp") is True,
                delete=body.get("delete_destination_extra") is True,
                limit_kib=self._limit_kib,
            )
            details = {
                "task_id": request.id, "type": "TRANSFER", "label": body.get("label"), "files": 0,
                "files_transferred": 0, "bytes_transferred": 0, "faults": 0,
            }  # fmt: skip
            job = self._jobs[request.id] = _Job(copy, details)
            self._pool.submit(self._run, request, note["items"], job)
        if not job.ended.is_set():
            return None
        del self._jobs[request.id]
        details = {**job.details, "status": "FAILED" if job.fatal else "SUCCEEDED"}
        if job.fatal:
            code, description = job.fatal
            details["fatal_error"] = {"code": code, "description": description}
        return Status(job.fatal is None, details, request.id)

    def cancel(self, request: Request) -> None:
        """See :class:`Provider`."""
        job = self._jobs.pop(request.id, None)
        if job is not None:
            job.copy.end()

    def stop(self) -> None:
        """End all copies: they begin again when the service does."""
        for job in list(self._jobs.values()):
            job.copy.end()
        self._pool.shutdown(cancel_futures=True)

    def _run(self, request: Request, items: list[dict[str, Any]], job: _Job) -> None:
        try:
            for item in items:
                self._copy(request, item, job)
        except PlaceError as error:
            job.fatal = error.code, str(error)
        except CopyError as error:
            job.fatal = "Failed", str(error)
        except Exception as error:  # a thread of a pool says nothing otherwise
            _log.exception("transfer %s", request.id)
            job.fatal = "Failed", f"{type(error).__name__}: {error}"
        job.ended.set()
        self._wake()

    def _copy(self, request: Request, item: Mapping[str, Any], job: _Job) -> None:
        owner, body = request.identity.client_id, request.body
        source, target = (self._collections.get(body.get(key, body.get(old)), owner) for key, old in _OLD.items())
        for number in range(1, _TRIES + 1):
            place = source.locate(item["source_path"])
            if not place.exists():
                raise PlaceError("FileNotFound", f"{item['source_path']}: no such file or directory in {source.name}")
            recursive = place.is_dir() if item["recursive"] is None else item["recursive"]
            if recursive is not place.is_dir():
                kind = "a directory, and recursive is false" if place.is_dir() else "no directory"
                raise PlaceError("FileNotFound", f"{item['source_path']} is {kind}")
            try:
                moved = job.copy.copy(Item(place, target.locate(item["destination_path"]), recursive))
            except (CopyError, OSError) as error:
                job.details["faults"] += 1
                _log.info("transfer %s: fault %d: %s", request.id, job.details["faults"], error)
                if number == _TRIES or str(error) == "ended":
                    raise CopyError(str(error)) from None
                job.copy.rest(min(0.5 * 2**number, _LONGEST_S))
                continue
            job.details["files"] += moved.files
            job.details["files_transferred"] += moved.files
            job.details["bytes_transferred"] += moved.size_bytes
            return


def _item(item: Any, number: int) -> dict[str, Any]:
    if not isinstance(item, Mapping):
        raise UnableError(f"DATA[{number}]: expected an object")
    paths = {key: item.get(key) for key in ("source_path", "destination_path")}
    for key, value in paths.items():
        if not isinstance(value, str) or not value:
            raise UnableError(f"DATA[{number}].{key}: expected a path")
    recursive = item.get("recursive")
    if recursive is not None and not isinstance(recursive, bool):
        raise UnableError(f"DATA[{number}].recursive: expected true or false")
    return {**paths, "recursive": recursive}
