"""What comes back of a task: read from the message of a result queue, or from the web service's document.

Both have the value or the text of a failure. A worker that answered says what it runs (``details``); a result that was
made in its place, by the engine for a worker that is gone or by the service, has no details. Only the message has the
code of the error (``globus_compute_common.messagepack``, ``Result``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: In the details of a result: an agent ended the worker, as one of our engines says.
OUTCOME = "prov_worker"


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
        outcome: ``time_limit`` or ``cancelled``: one of our engines says that the worker was ended; ``refused``: that
            it did not take the task; ``begun``: that the task is to run once and has begun before; else None.
    """

    task_id: str
    succeeded: bool
    text: str
    by_worker: bool
    code: str | None = None
    started_ns: int | None = None
    ended_ns: int | None = None
    outcome: str | None = None


def read_message(body: bytes) -> Answer:
    """Return what a message of a result queue says.

    Raises:
        ValueError: it is not a result.
    """
    from globus_compute_common import messagepack
    from globus_compute_common.messagepack.message_types import Result

    try:
        result = messagepack.unpack(body)
    except Exception as error:
        raise ValueError(f"not a message of Globus Compute: {error}") from error
    if not isinstance(result, Result):
        raise ValueError(f"a {type(result).__name__}, and no result")
    details = result.details
    times = {str(status.state.value): status.timestamp for status in result.task_statuses or ()}
    return Answer(
        str(result.task_id),
        not result.is_error,
        result.data,
        details is not None and OUTCOME not in details,
        None if result.error_details is None else result.error_details.code,
        times.get("execution-start"),
        times.get("execution-end"),
        _outcome(details),
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
        details is not None and OUTCOME not in details,
        None,
        times.get("execution-start"),
        times.get("execution-end"),
        _outcome(details),
    )


def _outcome(details: Mapping[str, Any] | None) -> str | None:
    """Return what one of our engines says of a worker that was ended."""
    ending = (details or {}).get(OUTCOME)
    outcome = ending.get("outcome") if isinstance(ending, Mapping) else None
    return outcome if isinstance(outcome, str) else None
