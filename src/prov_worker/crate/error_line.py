"""The line that says why a task failed: the same in its crate and in its events."""

from __future__ import annotations

from prov_worker.crate.json_text import TEXT_LIMIT, one_line
from prov_worker.model import TaskRecord


def error_of(record: TaskRecord) -> str:
    """Return the one line that says why a task failed."""
    failure = record.failure
    if failure is None:
        return "The task failed; no reason is known."
    # whoever recorded it has cut it, and said of how much
    message = one_line(failure.message, TEXT_LIMIT) or f"no message ({one_line(failure.kind)})"
    if failure.type and not message.startswith(failure.type.rsplit(".", 1)[-1]):
        return f"{one_line(failure.type).removeprefix('builtins.')}: {message}"
    return message
