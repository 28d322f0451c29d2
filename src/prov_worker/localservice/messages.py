"""Bodies of AMQP messages: one byte 0x01, then JSON ``{"message_type", "data"}``.

The format is version 1 of ``globus_compute_common.messagepack``; written here in plain JSON, because the service moves
thousands of messages a second and must understand only a little of each.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

from prov_worker.localservice.records import Outgoing, Pulse, Result

_VERSION = b"\x01"
#: A longer one is no heartbeat's.
_LONGEST_PERIOD_S = 7 * 86_400


class MessageError(Exception):
    """A body that is not a message of the expected type."""


def _pack(message_type: str, data: dict[str, Any]) -> bytes:
    return _VERSION + json.dumps({"message_type": message_type, "data": data}, separators=(",", ":")).encode()


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _unpack(body: bytes, message_type: str) -> dict[str, Any]:
    if body[:1] != _VERSION:
        raise MessageError("not protocol version 1")
    try:
        envelope = json.loads(body[1:], parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise MessageError("not JSON") from error
    if not isinstance(envelope, dict) or envelope.get("message_type") != message_type:
        raise MessageError(f"not a {message_type}")
    data = envelope.get("data")
    if not isinstance(data, dict):
        raise MessageError(f"{message_type} without data")
    return data


def task(outgoing: Outgoing) -> bytes:
    """Return the message that makes a user endpoint run a task."""
    return _pack(
        "task",
        {
            "task_id": outgoing.id,
            "container_id": None,
            "container": None,
            "task_buffer": outgoing.buffer + outgoing.payload,
        },
    )


def task_bytes(buffer: str, payload: str) -> int:
    """Return the size of :func:`task` for a function and its arguments."""
    return _TASK_BYTES + _encoded_bytes(buffer) + _encoded_bytes(payload)


def _encoded_bytes(text: str) -> int:
    return len(json.dumps(text)) - 2


def task_headers(outgoing: Outgoing) -> dict[str, Any]:
    """Return its headers: a user endpoint neither runs nor acknowledges a task without both ids."""
    headers: dict[str, Any] = {
        "function_uuid": outgoing.function,
        "task_uuid": outgoing.id,
        "resource_specification": json.dumps(outgoing.resource_specification),
    }
    if outgoing.result_serializers:
        headers["result_serializers"] = outgoing.result_serializers
    return headers


def failure(task_id: str, code: str, reason: str) -> bytes:
    """Return a result that the service gives in the endpoint's place."""
    return _pack(
        "result",
        {
            "task_id": task_id,
            "data": reason,
            "details": None,
            "error_details": {"code": code, "user_message": reason},
            "task_statuses": [],
        },
    )


def read_result(body: bytes, owner: str, user_endpoint: str, limit_bytes: int) -> Result:
    """Return a result as a user endpoint sent it; one over the limit becomes a failure that says so.

    Raises:
        MessageError: no result.
    """
    data = _unpack(body, "result")
    task_id, value = data.get("task_id"), data.get("data")
    if not isinstance(task_id, str) or not isinstance(value, str):
        raise MessageError("result without task_id or data")
    # The worker's own limit counts the value, in the same way.
    if len(value) > limit_bytes:
        reason = f"Task result of {len(value)} bytes exceeds the service's limit of {limit_bytes}"
        return Result(task_id, owner, user_endpoint, True, failure(task_id, "RESULT_TOO_LARGE", reason))
    return Result(task_id, owner, user_endpoint, data.get("error_details") is not None, body)


def read_heartbeat(body: bytes, heard: float) -> tuple[str, Pulse]:
    """Return endpoint and pulse of a heartbeat.

    Raises:
        MessageError: no heartbeat.
    """
    data = _unpack(body, "ep_status_report")
    endpoint = data.get("endpoint_id")
    state = data.get("global_state", data.get("ep_status_report"))
    if not isinstance(endpoint, str) or not isinstance(state, dict):
        raise MessageError("heartbeat without endpoint_id or global_state")
    period = state.get("heartbeat_period", 30)
    if not isinstance(period, (int, float)) or not 0 <= period <= _LONGEST_PERIOD_S:
        period = 30
    return endpoint, Pulse(heard, float(period), state)


def document(task_id: str, body: bytes, finished: float) -> dict[str, Any]:
    """Return the task document of a finished task, from its result message."""
    data = _unpack(body, "result")
    answer: dict[str, Any] = {"task_id": task_id, "completion_t": str(finished), "details": None}
    details = data.get("details")
    if isinstance(details, dict):
        # Null if the worker gave none: the SDK takes a partial mapping for an unknown worker environment and warns.
        transitions = {
            each["state"]: each["timestamp"]
            for each in data.get("task_statuses") or ()
            if isinstance(each, dict) and isinstance(each.get("state"), str) and "timestamp" in each
        }
        answer["details"] = {**details, "task_transitions": transitions}
    if data.get("error_details") is None:
        answer |= {"status": "success", "result": data["data"]}
    else:
        answer |= {"status": "failed", "exception": data["data"]}
    return answer


_NO_ID = str(uuid.UUID(int=0))
_TASK_BYTES = len(task(Outgoing(0, _NO_ID, "", "", "", "", "", None, None)))
