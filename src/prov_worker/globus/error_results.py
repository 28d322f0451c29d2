"""Results that an engine makes itself, for tasks that no worker answers."""

from __future__ import annotations

import uuid
from typing import Any

from prov_worker.globus.answers import OUTCOME
from prov_worker.spool.endings import CANCELLED, TIME_LIMIT, Ending

#: Code of the error that a client gets for options of a task that are not allowed.
REFUSED = "PROV_WORKER_OPTIONS_REFUSED"
#: Code of the error of a task that is to run once and has begun before.
BEGUN = "TASK_HAS_BEGUN_BEFORE"
_CODES = {TIME_LIMIT: "TASK_TIME_LIMIT", CANCELLED: "TASK_CANCELLED"}


def packed_error(task_id: uuid.UUID, code: str, text: str, details: dict[str, Any] | None = None) -> bytes:
    """Return the message that says why a task has no value (``globus_compute_common.messagepack``, ``Result``).

    Args:
        task_id: of the task.
        code: of the error, for programs.
        text: for people; the client's exception has it.
        details: for programs, beside what the SDK wants to know of whoever answers; None: nothing.
    """
    from globus_compute_common import messagepack
    from globus_compute_common.messagepack.message_types import Result, ResultErrorDetails

    error = ResultErrorDetails(code=code, user_message=text)
    packed: bytes = messagepack.pack(Result(task_id=task_id, data=text, error_details=error, details=details))
    return packed


def packed_refusal(task_id: uuid.UUID, endpoint_id: Any, text: str) -> bytes:
    """Return the message that says that the engine did not take the task: to send it again would not help."""
    return packed_error(task_id, REFUSED, text, _details(endpoint_id, {"outcome": "refused"}))


def packed_begun(task_id: uuid.UUID, endpoint_id: Any, text: str) -> bytes:
    """Return the message that says that a task is to run once, has begun before, and that its end is not known."""
    text += "; its end is not known, and it is not run again, as it is to run once"
    return packed_error(task_id, BEGUN, text, _details(endpoint_id, {"outcome": "begun"}))


def packed_value(task_id: uuid.UUID, value: Any) -> bytes:
    """Return the message with the value of a task that the engine itself has answered."""
    from globus_compute_common import messagepack
    from globus_compute_common.messagepack.message_types import Result
    from globus_compute_sdk.serialize import ComputeSerializer

    packed: bytes = messagepack.pack(Result(task_id=task_id, data=ComputeSerializer().serialize(value)))
    return packed


def packed_ending(task_id: uuid.UUID, endpoint_id: Any, ending: Ending) -> bytes:
    """Return the message that says that an agent ended the task's worker, and why."""
    outcome = {"outcome": ending.kind, "limit_s": ending.limit_s, "by": ending.by}
    return packed_error(task_id, _CODES[ending.kind], ending.text, _details(endpoint_id, outcome))


def _details(endpoint_id: Any, outcome: dict[str, Any]) -> dict[str, Any]:
    from globus_compute_sdk.sdk.utils import get_env_details

    return {**get_env_details(), "endpoint_id": endpoint_id, OUTCOME: outcome}
