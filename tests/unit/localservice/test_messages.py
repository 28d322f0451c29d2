"""Bodies of messages, against the library that the other side uses."""

from __future__ import annotations

import json
import uuid

import pytest

pytest.importorskip("fastapi", reason="the extra 'service' is not installed")
pytest.importorskip("prometheus_client", reason="the extra 'service' is not installed")
from prov_worker.localservice import messages, topology
from prov_worker.localservice.records import Outgoing
from prov_worker.localservice.routes.functions import packed_source

TASK, FUNCTION, USER, OWNER = (str(uuid.UUID(int=number)) for number in range(10, 14))
OUTGOING = Outgoing(1, TASK, OWNER, USER, FUNCTION, "3\n01\n", "4\n00\né", {"num_nodes": 2}, ["a.b.C"])


def _library() -> object:
    return pytest.importorskip("globus_compute_common.messagepack", reason="globus-compute-common is not installed")


def test_tasks_are_what_the_library_reads() -> None:
    library = _library()
    task = library.unpack(messages.task(OUTGOING))  # type: ignore[attr-defined]
    assert (str(task.task_id), task.task_buffer) == (TASK, "3\n01\n4\n00\né")
    headers = messages.task_headers(OUTGOING)
    assert (headers["task_uuid"], headers["function_uuid"]) == (TASK, FUNCTION)
    assert json.loads(headers["resource_specification"]) == {"num_nodes": 2}
    assert headers["result_serializers"] == ["a.b.C"]


def test_failures_are_what_the_library_reads() -> None:
    library = _library()
    result = library.unpack(messages.failure(TASK, "NO_WAY", "why é"))  # type: ignore[attr-defined]
    assert (result.is_error, result.data, result.error_details.code) == (True, "why é", "NO_WAY")


def test_what_the_library_writes_is_read() -> None:
    library = _library()
    from globus_compute_common.messagepack.message_types import EPStatusReport, Result, ResultErrorDetails

    body = library.pack(Result(task_id=TASK, data="00\nxyz", details={"os": "Linux"}))  # type: ignore[attr-defined]
    result = messages.read_result(body, OWNER, USER, 10_000)
    assert (result.task, result.failed, result.message) == (TASK, False, body)
    assert messages.document(TASK, body, 5.5) == {
        "task_id": TASK,
        "status": "success",
        "result": "00\nxyz",
        "completion_t": "5.5",
        "details": {"os": "Linux", "task_transitions": {}},
    }
    failed = library.pack(  # type: ignore[attr-defined]
        Result(task_id=TASK, data="Traceback", error_details=ResultErrorDetails(code="X", user_message="y"))
    )
    assert messages.read_result(failed, OWNER, USER, 10_000).failed
    assert messages.document(TASK, failed, 5.5) == {
        "task_id": TASK,
        "status": "failed",
        "exception": "Traceback",
        "completion_t": "5.5",
        "details": None,
    }
    report = EPStatusReport(endpoint_id=USER, global_state={"heartbeat_period": 5.0}, task_statuses={})
    endpoint, pulse = messages.read_heartbeat(library.pack(report), 7.0)  # type: ignore[attr-defined]
    assert (endpoint, pulse.heard, pulse.period_s) == (USER, 7.0, 5.0)


def test_a_result_over_the_limit_fails_its_task() -> None:
    body = b'\x01{"message_type":"result","data":{"task_id":"t","data":"' + b"x" * 2000 + b'"}}'
    result = messages.read_result(body, OWNER, USER, 1000)
    assert result.failed
    assert "exceeds the service's limit of 1000" in messages.document("t", result.message, 1.0)["exception"]
    assert messages.read_result(body, OWNER, USER, len(body)).message == body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"\x02{}",
        b"\x01",
        b"\x01[]",
        b"\x01" + b"[" * 100_000,
        b'\x01{"message_type":"task","data":{}}',
        b'\x01{"message_type":"result"}',
        b'\x01{"message_type":"result","data":{"task_id":"t"}}',
        b'\x01{"message_type":"ep_status_report","data":{"endpoint_id":1}}',
        b"\x01\xff",
    ],
)
def test_rubbish_is_told_from_messages(body: bytes) -> None:
    with pytest.raises(messages.MessageError):
        messages.read_result(body, OWNER, USER, 10_000)
    with pytest.raises(messages.MessageError):
        messages.read_heartbeat(body, 1.0)


def test_source_text_is_packed_as_the_sdk_does() -> None:
    serialize = pytest.importorskip("globus_compute_sdk.serialize", reason="globus-compute-sdk is not installed")
    source = "def hé(x):\n    return x * 2\n"
    (buffer,) = serialize.ComputeSerializer().unpack_buffers(packed_source("hé", source))
    function = serialize.ComputeSerializer().deserialize(buffer)
    assert function(4) == 8


def test_names_hold_their_owner() -> None:
    assert topology.sender(topology.routing_key(OWNER, USER, "results")) == (OWNER, USER)
    for key in ("", "a", "a.b", "..results", "a.b.tasks", "a.b.results.c", ".b.results"):
        assert topology.sender(key) is None
    for name in (
        topology.tasks_queue(OWNER, USER),
        topology.commands_queue(OWNER, USER),
        topology.group_queue(OWNER, USER),
    ):
        assert OWNER in name
