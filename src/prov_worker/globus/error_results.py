"""Results that an engine makes itself, for tasks that no worker answers."""

from __future__ import annotations

import uuid


def packed_error(task_id: uuid.UUID, code: str, text: str) -> bytes:
    """Return the message that says why a task has no value (``globus_compute_common.messagepack``, ``Result``).

    Args:
        task_id: of the task.
        code: of the error, for programs.
        text: for people; the client's exception has it.
    """
    from globus_compute_common import messagepack
    from globus_compute_common.messagepack.message_types import Result, ResultErrorDetails

    details = ResultErrorDetails(code=code, user_message=text)
    packed: bytes = messagepack.pack(Result(task_id=task_id, data=text, error_details=details))
    return packed
