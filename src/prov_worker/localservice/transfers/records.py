"""What the service remembers of Transfer's tasks. Times are seconds since the epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

TRANSFER, DELETE = "TRANSFER", "DELETE"
ACTIVE, SUCCEEDED, FAILED = "ACTIVE", "SUCCEEDED", "FAILED"
#: Numbers of a task, as its document has them, and how many of its items are done.
NOTHING_DONE: Mapping[str, Any] = {
    "files": 0, "directories": 0, "files_transferred": 0, "files_skipped": 0, "bytes_transferred": 0, "faults": 0,
    "subtasks_skipped_errors": 0, "items_done": 0, "fatal_error": None,
}  # fmt: skip


@dataclass(frozen=True)
class Task:
    """A transfer or a deletion.

    Attributes:
        id: of the task.
        owner: client id.
        submission: the id under which it was submitted: once, however often it is sent.
        kind: ``TRANSFER`` or ``DELETE``.
        status: ``ACTIVE``, ``SUCCEEDED`` or ``FAILED``.
        requested: when it was.
        deadline: when it fails if it has not ended.
        completed: None while it has not.
        body: what was submitted, checked.
        progress: see :data:`NOTHING_DONE`.
    """

    id: str
    owner: str
    submission: str
    kind: str
    status: str
    requested: float
    deadline: float
    completed: float | None
    body: Mapping[str, Any]
    progress: Mapping[str, Any] = field(default_factory=lambda: dict(NOTHING_DONE))


class Event(NamedTuple):
    """A line of a task's log."""

    code: str
    description: str
    details: str
    is_error: bool = False


class SentFile(NamedTuple):
    """A file that was sent, or, with an error, left out."""

    source_path: str
    destination_path: str
    size: int
    error_code: str = ""
