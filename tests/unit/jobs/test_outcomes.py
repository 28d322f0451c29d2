"""Answers, and the states that they lead to."""

from __future__ import annotations

import tempfile
import uuid
from pathlib import Path
from typing import Any

import pytest

from prov_worker.globus.answers import Answer, read_document, read_message
from prov_worker.globus.call_packing import pack_arguments, pack_function, unpack_result
from prov_worker.jobs.outcomes import outcome, run_s
from prov_worker.jobs.states import State
from support.marks import needs_whole_functions

LIMIT = 3


def selfmade(number: int) -> int:
    import os  # also a name of this module's

    return number + len(os.sep)


def reaching(number: int) -> int:
    return sum(number + LIMIT for _ in range(1))


def serialized(value: Any) -> str:
    from globus_compute_sdk.serialize import ComputeSerializer

    return str(ComputeSerializer().serialize(value))


def shell_result(status: int, name: str | None = None) -> str:
    from globus_compute_sdk.sdk.shell_function import ShellResult

    return serialized(ShellResult("cmd", "out", "err\n", status, name))


@pytest.mark.parametrize(
    "answer, shell, state, error",
    [
        (Answer("t", True, serialized(3), True), False, State.COMPLETED, None),
        (Answer("t", True, shell_result(3), True), False, State.COMPLETED, None),
        (Answer("t", True, shell_result(0), True), True, State.COMPLETED, None),
        (Answer("t", True, shell_result(3), True), True, State.FAILED, "exit status 3: cmd\nerr"),
        (
            Answer("t", True, shell_result(124, "subprocess.TimeoutExpired"), True),
            True,
            State.TIMED_OUT,
            "ended at its walltime: cmd\nerr",
        ),
        (Answer("t", True, shell_result(124), True), True, State.FAILED, "exit status 124: cmd\nerr"),
        (Answer("t", True, serialized({"returncode": 1, "cmd": "c"}), True), True, State.FAILED, "exit status 1: c"),
        (Answer("t", True, "00\nno base64 of a value", True), True, State.COMPLETED, None),
        (Answer("t", False, "Traceback\n", True), False, State.FAILED, "Traceback"),
        (Answer("t", False, "WorkerLost", False), False, State.LOST, "WorkerLost"),
        (Answer("t", False, "time limit", False, outcome="time_limit"), False, State.TIMED_OUT, "time limit"),
        (Answer("t", False, "cancelled by", False, outcome="cancelled"), True, State.CANCELLED, "cancelled by"),
        (Answer("t", False, "num_nodes", False, outcome="refused"), False, State.FAILED, "num_nodes"),
        (Answer("t", False, "begun before", False, outcome="begun"), False, State.LOST, "begun before"),
        (Answer("t", False, "WorkerLost", False, outcome="of a later release"), False, State.LOST, "WorkerLost"),
        (Answer("t", False, "", False), False, State.LOST, "no reason is given"),
    ],
)
def test_states(answer: Answer, shell: bool, state: State, error: str | None) -> None:
    assert outcome(answer, shell=shell) == (state, error)


def test_messages_and_documents_say_the_same() -> None:
    from globus_compute_common import messagepack
    from globus_compute_common.messagepack.message_types import Result

    task = uuid.uuid4()
    statuses = [
        {"timestamp": 1_000, "state": "execution-start", "actor": "worker"},
        {"timestamp": 2_000_001_000, "state": "execution-end", "actor": "worker"},
    ]
    details = {"os": "Linux", "python_version": "3.11.7"}
    good = read_message(messagepack.pack(Result(task_id=task, data="r", details=details, task_statuses=statuses)))
    transitions = {status["state"]: status["timestamp"] for status in statuses}
    document = {"status": "success", "result": "r", "details": {**details, "task_transitions": transitions}}
    assert read_document(str(task), document) == good
    assert (good.by_worker, run_s(good)) == (True, 2.0)
    error = {"code": "RemoteExecutionError", "user_message": "no"}
    lost = read_message(messagepack.pack(Result(task_id=task, data="gone", error_details=error)))
    assert (lost.by_worker, lost.code, run_s(lost)) == (False, "RemoteExecutionError", None)
    ended = read_document(str(task), {"status": "failed", "exception": "gone", "details": None})
    assert ended is not None
    assert (ended.by_worker, ended.text) == (False, "gone")
    assert read_document(str(task), {"status": "waiting-for-ep", "details": None}) is None
    with pytest.raises(ValueError, match="not a message"):
        read_message(b"\x01no message")


def test_functions_travel_by_source_if_they_stand_alone() -> None:
    from prov_worker.globus.call_packing import serializer_for

    strategies = [
        type(serializer_for(function).code_serializer).__name__
        for function in (selfmade, reaching, lambda: 1, serialized, len)
    ]
    assert strategies == ["AllCodeStrategies", "DillCode", "DillCode", "AllCodeStrategies", "DillCode"]
    assert pack_function(selfmade).sha256 == pack_function(selfmade).sha256 != pack_function(reaching).sha256


def test_a_function_is_known_by_what_it_does() -> None:
    needs_whole_functions()

    def variant(text: str, limit: int = 3) -> Any:
        path = Path(tempfile.mkdtemp()) / "module.py"
        path.write_text(
            f"{text}LIMIT = {limit}\n\n\ndef helper(n):\n    return n\n\n\ndef f(n):\n    return helper(n) + LIMIT\n"
        )
        namespace: dict[str, Any] = {"__name__": path.parent.name}
        exec(compile(path.read_text(), str(path), "exec"), namespace)
        return pack_function(namespace["f"]).sha256

    assert variant("") == variant("# a comment\n") != variant("", 4)


def test_arguments_come_back() -> None:
    from globus_compute_sdk.serialize import ComputeSerializer

    for args, kwargs in (((), {}), ((1, "é"), {"key": [2]}), ((None,), {})):
        buffers = ComputeSerializer.unpack_buffers(pack_arguments(args, kwargs))
        assert [unpack_result(buffer) for buffer in buffers] == [args, kwargs]
