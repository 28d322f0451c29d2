"""The line that says why a task failed: the same in its crate and in its events."""

from __future__ import annotations

from prov_worker.crate.json_text import one_line
from prov_worker.model import TaskRecord


def error_of(record: TaskRecord) -> str:
    """Return the one line that says why a task failed."""
    failure = record.failure
    if failure is None:
        return "The task failed; no reason is known."
    message = one_line(failure.message) or f"no message ({one_line(failure.kind)})"
    if failure.type and not message.startswith(failure.type.rsplit(".", 1)[-1]):
        return f"{one_line(failure.type).removeprefix('builtins.')}: {message}"
    return message
