"""What comes back of a task: read from the message of a result queue, or from the web service's document.

Both have the value or the text of a failure. A worker that answered says what it runs (``details``); a result that was
made in its place, by the engine for a worker that is gone or by the service, has no details. Only the message has the
code of the error (``globus_compute_common.messagepack``, ``Result``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """How a task ended.

    Attributes:
        task_id: UUID of the task.
        succeeded: its function returned.
        text: the serialised value; of a failure, the traceback or the reason.
        by_worker: a worker answered; False: somebody in its place.
        code: of the error; None if there is none, or if the document says none.
        started_ns: when the worker began, since the epoch; None if it is not said.
        ended_ns: when it ended.
    """

    task_id: str
    succeeded: bool
    text: str
    by_worker: bool
    code: str | None = None
    started_ns: int | None = None
    ended_ns: int | None = None


def read_message(body: bytes) -> Answer:
    """Return what a message of a result queue says.

    Raises:
        ValueError: it is no result.
    """
    from globus_compute_common import messagepack
    from globus_compute_common.messagepack.message_types import Result

    try:
        result = messagepack.unpack(body)
    except Exception as error:
        raise ValueError(f"no message of Globus Compute: {error}") from error
    if not isinstance(result, Result):
        raise ValueError(f"a {type(result).__name__}, and no result")
    times = {str(status.state.value): status.timestamp for status in result.task_statuses or ()}
    return Answer(
        str(result.task_id),
        not result.is_error,
        result.data,
        result.details is not None,
        None if result.error_details is None else result.error_details.code,
        times.get("execution-start"),
        times.get("execution-end"),
    )


def read_document(task_id: str, document: Mapping[str, Any]) -> Answer | None:
    """Return what the web service's document of a task says; None while it is under way."""
    status = document.get("status")
    if status not in ("success", "failed"):
        return None
    details = document.get("details") or None
    times = (details or {}).get("task_transitions") or {}
    return Answer(
        task_id,
        status == "success",
        str(document.get("result" if status == "success" else "exception") or document.get("reason") or ""),
        details is not None,
        None,
        times.get("execution-start"),
        times.get("execution-end"),
    )
