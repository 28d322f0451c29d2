"""Tasks of Transfer, carried out: copies by rsync, and deletions.

What is submitted is kept before it begins, and what has been done of it item by item: after a restart, or SIGKILL, a
task goes on with the item where it was, which sends what is missing.
"""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prov_worker.localservice.identities import Identity
from prov_worker.localservice.sqlite.transfers import TransferStore
from prov_worker.localservice.transfers import rsync, submission
from prov_worker.localservice.transfers.collections import Collection, Collections, PlaceError, text_of
from prov_worker.localservice.transfers.errors import TransferError
from prov_worker.localservice.transfers.records import (
    ACTIVE,
    FAILED,
    SUCCEEDED,
    TRANSFER,
    Event,
    SentFile,
    Task,
)
from prov_worker.localservice.transfers.rsync import CopyError, Item, Rsync

_log = logging.getLogger(__name__)
#: Copies at a time.
_THREADS = 4
#: Tries of an item, and the longest wait between two of them.
_TRIES, _LONGEST_S = 10, 30.0
#: Tasks are kept for so long after their end, and looked through so often.
_KEPT_S, _FORGET_EVERY_S = 90 * 86_400.0, 3600.0
#: Tasks of an identity under way, and all that are kept.
_MOST_ACTIVE, _MOST_TASKS = 1000, 20_000
_BLOCK_BYTES = 1 << 20
#: A later deadline than in three years is none: a thread cannot wait for any time.
_LONGEST_DEADLINE_S = 1e8


class _SourceError(PlaceError):
    """Something of the source is not there, or may not be had."""


@dataclass
class _Job:
    copy: Rsync | None = None
    ended: threading.Event = field(default_factory=threading.Event)
    expired: bool = False
    _alarm: threading.Timer | None = None

    def until(self, deadline: float) -> None:
        """End it at a deadline, in seconds since the epoch."""
        self.drop_deadline()
        self._alarm = threading.Timer(min(max(deadline - time.time(), 0.0), _LONGEST_DEADLINE_S), self._expire)
        self._alarm.daemon = True
        self._alarm.start()

    def drop_deadline(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()

    def _expire(self) -> None:
        self.expired = True
        self.end()

    def end(self) -> None:
        self.ended.set()
        if self.copy is not None:
            self.copy.end()


class Transfers:
    """All tasks.

    Args:
        store: what is durable.
        collections: between which files are copied.
        wake: is called when a task ends.
        limit_kib: KiB per second of each copy; 0 for as fast as it goes.
    """

    def __init__(
        self, store: TransferStore, collections: Collections, wake: Callable[[], None], limit_kib: int = 0
    ) -> None:
        self.store, self.collections = store, collections
        self._wake, self._limit_kib = wake, limit_kib
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="transfer")
        self._jobs: dict[str, _Job] = {}
        self._forget_at = 0.0

    def start(self) -> None:
        """Begin: tasks that were under way go on."""
        for task in self.store.under_way():
            self._begin(task)

    def stop(self) -> None:
        """End; tasks that are under way go on when the service does."""
        for job in list(self._jobs.values()):
            job.end()
        self._pool.shutdown(cancel_futures=True)

    def submit(
        self, identity: Identity, kind: str, body: Mapping[str, Any], task_id: str | None = None
    ) -> tuple[Task, bool]:
        """Take a task; returns it, and whether it had been submitted before.

        Args:
            identity: whose it is.
            kind: ``TRANSFER`` or ``DELETE``.
            body: what is submitted.
            task_id: of the task; None for a new one.

        Raises:
            TransferError: 400, 403, 404: it is not right, or not the identity's to ask for.
        """
        now = time.time()
        if now > self._forget_at:
            self.store.forget(now - _KEPT_S)
            self._forget_at = now + _FORGET_EVERY_S
        content, deadline = submission.checked(body, kind, now)
        for collection_id in ends_of(content):
            self.collection(collection_id, identity)
        kept, under_way = self.store.count(identity.client_id)
        if kept >= _MOST_TASKS or under_way >= _MOST_ACTIVE:
            reason = f"{_MOST_ACTIVE} tasks under way, or {_MOST_TASKS} in all, are taken"
            raise TransferError(409, "ClientError.Conflict.TooManyPendingJobs", reason)
        new_id = task_id or str(uuid.uuid4())
        given = str(body.get("submission_id") or new_id)
        new = Task(new_id, identity.client_id, given, kind, ACTIVE, now, deadline, None, content)
        task = self.store.add(new)
        if task is new:
            self._begin(task)
        return task, task is not new

    def collection(self, collection_id: Any, identity: Identity) -> Collection:
        """Return a collection that an identity may use.

        Raises:
            TransferError: 404.
        """
        try:
            return self.collections.get(str(collection_id).lower(), identity.client_id)
        except PlaceError as error:
            raise TransferError(404, error.code, str(error)) from None

    def task(self, identity: Identity, task_id: str) -> Task:
        """Return a task of an identity.

        Raises:
            TransferError: 404.
        """
        task = self.store.task(task_id)
        if task is None or task.owner != identity.client_id:
            raise TransferError(404, "TaskNotFound", f"There is no task {task_id}")
        return task

    def cancel(self, task: Task) -> bool:
        """End a task; returns whether it had not ended by itself."""
        fatal = {"code": "CANCELED", "description": "The task was canceled by its owner"}
        event = Event("CANCELED", "canceled", "The task was canceled by its owner", is_error=True)
        changed = self._end(task, FAILED, [event], fatal)
        job = self._jobs.get(task.id)
        if job is not None:
            job.end()
        self._wake()
        return (changed.progress["fatal_error"] or {}).get("code") == "CANCELED" and task.status == ACTIVE

    def update(self, task: Task, body: Mapping[str, Any]) -> Task:
        """Change label and deadline of a task that is under way.

        Raises:
            TransferError: 400, 409.
        """
        if task.status != ACTIVE:
            raise TransferError(409, "ClientError.Conflict", f"the task has ended: {task.status}")
        now = time.time()
        fields: dict[str, Any] = {}
        if "label" in body:
            fields["body"] = {**task.body, "label": submission.label_of(body["label"])}
        if "deadline" in body:
            fields["deadline"] = submission.deadline_of(body["deadline"], now)
        changed = self.store.change(task, now, **fields)
        job = self._jobs.get(task.id)
        if job is not None and "deadline" in fields:
            job.until(changed.deadline)
        return changed

    def _end(self, task: Task, status: str, events: list[Event], fatal: Mapping[str, Any] | None = None) -> Task:
        now = time.time()
        progress = {**task.progress, "fatal_error": fatal, "fault": None}
        return self.store.change(task, now, events, status=status, completed=now, progress=progress)

    def _begin(self, task: Task) -> None:
        self._jobs[task.id] = _Job()
        self._pool.submit(self._run, task, self._jobs[task.id])

    def _run(self, task: Task, job: _Job) -> None:
        job.until(task.deadline)
        try:
            self._work(task, job)
        except sqlite3.Error as error:  # a full disk, mostly: the task goes on when the service begins again
            _log.error("transfer %s: the state cannot be kept now: %s", task.id, error)
        except Exception:  # a thread of a pool says nothing otherwise
            _log.exception("transfer %s", task.id)
        finally:
            job.drop_deadline()
            self._jobs.pop(task.id, None)
            self._wake()

    def _work(self, task: Task, job: _Job) -> None:
        if not task.progress["items_done"] and not task.progress["faults"]:
            task = self.store.change(task, time.time(), [Event("STARTED", "started", "")])
        work = self._copy if task.kind == TRANSFER else self._delete
        for item in task.body["DATA"][task.progress["items_done"] :]:
            if task.status != ACTIVE:
                return
            try:
                task = work(task, item, job)
            except _SourceError as error:
                if not task.body["skip_source_errors"]:
                    self._fail(task, error.code, str(error))
                    return
                task = self._skip(task, item, error)
            except PlaceError as error:
                self._fail(task, error.code, str(error))
                return
            except (CopyError, OSError) as error:
                if not job.ended.is_set():
                    self._fail(task, "Failed", str(error))
                elif job.expired:
                    self._fail(task, "EXPIRED", "the deadline of the task has passed")
                return  # canceled, or the service ends
        numbers = f"files={task.progress['files']} bytes={task.progress['bytes_transferred']}"
        self._end(task, SUCCEEDED, [Event("SUCCEEDED", "succeeded", numbers)])

    def _fail(self, task: Task, code: str, reason: str) -> None:
        event = Event(_event_code(code), "failed", reason, is_error=True)
        self._end(task, FAILED, [event], {"code": code, "description": reason})

    def _skip(self, task: Task, item: Mapping[str, Any], error: PlaceError) -> Task:
        code = _event_code(error.code)
        numbers = {"files_skipped": 1, "subtasks_skipped_errors": 1, "items_done": 1}
        left_out = SentFile(item["source_path"], item["destination_path"], 0, code)
        return self._done(task, numbers, [Event(code, "skipped", str(error), is_error=True)], [left_out])

    def _done(self, task: Task, numbers: Mapping[str, int], events: list[Event], sent: list[SentFile]) -> Task:
        progress = {**task.progress, "fault": None}
        for key, number in numbers.items():
            progress[key] += number
        return self.store.change(task, time.time(), events, sent, progress=progress)

    def _copy(self, task: Task, item: Mapping[str, Any], job: _Job) -> Task:
        body = task.body
        source, target = (self.collections.get(key, task.owner) for key in ends_of(body))
        job.copy = Rsync(
            body["sync_level"],
            times=body["preserve_timestamp"],
            delete=body["delete_destination_extra"],
            limit_kib=self._limit_kib,
            verify=body["verify_checksum"],
            links=body["recursive_symlinks"] == "keep",
            rules=rsync.filters(body["filter_rules"]),
        )
        if job.ended.is_set():
            raise CopyError("ended")
        for number in range(1, _TRIES + 1):
            place = _source(source, item)
            target_place = target.locate(item["destination_path"])
            if target_place == place or place in target_place.parents:
                reason = f"{item['destination_path']}: is within {item['source_path']}, or the same"
                raise PlaceError("SourceAndDestinationOverlap", reason)
            try:
                moved = job.copy.copy(Item(place, target_place, place.is_dir()))
                if "checksum" in item and _digest(target_place, item["algorithm"]) != item["checksum"]:
                    raise PlaceError("VerifyChecksum", f"{item['source_path']}: the file has another checksum")
                break
            except (CopyError, OSError) as error:
                _log.info("transfer %s: fault: %s", task.id, error)
                if job.ended.is_set():
                    raise
                progress = {**task.progress, "faults": task.progress["faults"] + 1, "fault": "RETRYING"}
                fault = Event("UNKNOWN", "fault", text_of(str(error)), is_error=True)
                task = self.store.change(task, time.time(), [fault], progress=progress)
                if number == _TRIES:
                    raise CopyError(str(error)) from None
                job.copy.rest(min(0.5 * 2**number, _LONGEST_S))
        size = sum(count for _, count in moved.sent)
        files = [
            SentFile(text_of(_below(item["source_path"], name)), text_of(_below(item["destination_path"], name)), count)
            for name, count in moved.sent
        ]
        numbers = {
            "files": moved.files, "directories": moved.directories, "files_transferred": len(files),
            "files_skipped": moved.files - len(files), "bytes_transferred": size, "items_done": 1,
        }  # fmt: skip
        return self._done(task, numbers, [], files)

    def _delete(self, task: Task, item: Mapping[str, Any], job: _Job) -> Task:
        collection = self.collections.get(task.body["endpoint"], task.owner)
        if job.ended.is_set():
            raise CopyError("ended")
        position = task.progress["items_done"] + 1
        begun = task.progress.get("begun") == position
        task = self.store.change(task, time.time(), progress={**task.progress, "begun": position})
        numbers = {"files": 0, "directories": 0, "items_done": 1}
        for place in _meant(collection, item["path"], globs=task.body["interpret_globs"]):
            if place == collection.locate("/"):
                raise PlaceError("PermissionDenied", f"{item['path']}: the whole of {collection.name} is not deleted")
            if not place.exists() and not place.is_symlink():
                # What a service had deleted that was killed then is not an error.
                if not task.body["ignore_missing"] and not begun:
                    raise PlaceError("FileNotFound", f"{item['path']}: nothing there in {collection.name}")
            elif place.is_symlink() or not place.is_dir():
                place.unlink()
                numbers["files"] += 1
            elif task.body["recursive"]:
                shutil.rmtree(place)
                numbers["directories"] += 1
            else:
                raise PlaceError("FileNotFound", f"{item['path']} is a directory, and recursive is not true")
        return self._done(task, numbers, [], [])


def ends_of(content: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the ids of the collections of a submission that was checked: source before destination."""
    keys = ("source_endpoint", "destination_endpoint", "endpoint")
    return tuple(content[key] for key in keys if key in content)


def _event_code(code: str) -> str:
    """Return ``FileNotFound`` as an event has it: ``FILE_NOT_FOUND``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", code).upper()


def _source(collection: Collection, item: Mapping[str, Any]) -> Path:
    path, recursive = item["source_path"], item["recursive"]
    try:
        place = collection.locate(path)
    except PlaceError as error:
        raise _SourceError(error.code, str(error)) from None
    if not place.exists():
        raise _SourceError("FileNotFound", f"{path}: no such file or directory in {collection.name}")
    if recursive is not None and recursive is not place.is_dir():
        kind = "a directory, and recursive is false" if place.is_dir() else "no directory"
        raise _SourceError("FileNotFound", f"{path} is {kind}")
    return place


def _meant(collection: Collection, path: str, *, globs: bool) -> list[Path]:
    """Return places of a path, whose last part may be a pattern."""
    parent, slash, pattern = path.rstrip("/").rpartition("/")
    if not globs or not set("*?[") & set(pattern):
        return [collection.locate(path, follow=False)]
    directory = collection.locate(parent + slash)
    return sorted(place for place in directory.glob(pattern)) if directory.is_dir() else []


def _below(path: str, name: str) -> str:
    return f"{path.rstrip('/')}/{name}" if name else path


def _digest(path: Path, algorithm: str) -> str:
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
