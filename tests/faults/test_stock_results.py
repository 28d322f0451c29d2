"""The same tasks through the stock helper and through ours, in one process: what the client gets is the same."""

from __future__ import annotations

import inspect
import json
import logging
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from globus_compute_common import messagepack
from globus_compute_endpoint.engines import helper
from globus_compute_sdk.serialize import ComputeSerializer

from prov_worker.globus import worker
from support import calls
from support.crate_dir import CrateDir, wait_until
from support.direct import provenance
from support.worker import pack

STOCK = helper.execute_task
ENDPOINT = uuid.uuid4()


def own_add(left: int, right: int) -> int:
    """Add."""
    return left + right


def _task_of(function: Any, *args: Any, **kwargs: Any) -> bytes:
    return pack(function, args, kwargs, uuid.UUID(int=1))


def _spoiled(part: int) -> bytes:
    """A task whose function or arguments cannot be unpacked."""
    serializer = ComputeSerializer()
    parts = [serializer.serialize(item) for item in (own_add, (1, 2), {})]
    parts[part] = parts[part][:10] + "spoiled\n"
    return messagepack.pack(
        messagepack.message_types.Task(task_id=uuid.UUID(int=1), task_buffer=serializer.pack_buffers(parts))
    )


BODIES: dict[str, tuple[Any, dict[str, Any]]] = {
    "value": (lambda: _task_of(own_add, 1, 2), {}),
    "nothing": (lambda: _task_of(calls.nothing), {}),
    "text": (lambda: _task_of(own_add, "ü\n", "\udcff"), {}),
    "sandbox": (lambda: _task_of(calls.write_file, "out.txt", "text"), {"run_in_sandbox": True}),
    "raises": (lambda: _task_of(calls.refuse, "no"), {}),
    "wrong_arguments": (lambda: _task_of(own_add, 1), {}),
    "refuses_to_be_rebuilt": (lambda: _task_of(calls.add, calls.Stubborn(), 1), {}),
    "spoiled_function": (lambda: _spoiled(0), {}),
    "spoiled_arguments": (lambda: _spoiled(1), {}),
    "no_message": (lambda: b"\x01not a message", {}),
    "not_a_task": (lambda: messagepack.pack(messagepack.message_types.EPStatusReport(
        endpoint_id=ENDPOINT, global_state={}, task_statuses={})), {}),
    "result_cannot_be_serialised": (lambda: _task_of(calls.unserialisable), {}),
    "result_over_the_limit": (lambda: _task_of(calls.large, 4096), {"result_size_limit": 1024}),
    "limit_too_small": (lambda: _task_of(own_add, 1, 2), {"result_size_limit": 1}),
    "relative_run_dir": (lambda: _task_of(own_add, 1, 2), {"run_dir": "relative"}),
    "deserialiser_not_allowed": (lambda: _task_of(own_add, 1, 2),
        {"task_deserializers": ["globus_compute_sdk.serialize.JSONData"]}),
    "result_serialiser": (lambda: _task_of(own_add, 1, 2),
        {"result_serializers": ["globus_compute_sdk.serialize.JSONData"]}),
    "unknown_result_serialiser": (lambda: _task_of(own_add, 1, 2), {"result_serializers": ["nowhere.Nothing"]}),
    "times_out": (lambda: _task_of(calls.sleep, 1.0), {"GC_TASK_TIMEOUT": "0.2"}),
    "in_time": (lambda: _task_of(own_add, 1, 2), {"GC_TASK_TIMEOUT": "20"}),
}  # fmt: skip


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CrateDir]:
    made = CrateDir(tmp_path_factory.mktemp("stock") / "crates")
    yield made
    made.close()


def _outcome(helper_in_use: Any, body: bytes, options: dict[str, Any], caplog: pytest.LogCaptureFixture) -> Any:
    """What came back or left, without times; the environment; and the log."""
    options = dict(options)
    cwd = os.getcwd()
    with pytest.MonkeyPatch.context() as patch:
        if "GC_TASK_TIMEOUT" in options:
            patch.setenv("GC_TASK_TIMEOUT", options.pop("GC_TASK_TIMEOUT"))
        patch.setenv("GC_TASK_UUID", "of the task before")
        patch.setenv("GC_TASK_SANDBOX_DIR", "of the task before")
        caplog.clear()
        try:
            data = helper_in_use(body, uuid.UUID(int=1), ENDPOINT, **options)
            message = messagepack.unpack(data)
            raw = json.loads(data[1:])
            raw["data"].pop("task_statuses")
            outcome: Any = (
                data[:1],
                json.dumps(raw, sort_keys=True),
                message.data,
                getattr(message, "exception", None),
                message.error_details,
                message.details,
                [(status.state, status.actor) for status in message.task_statuses],
            )
        except BaseException as error:
            outcome = (type(error), str(error))
        environment = {name: os.environ.get(name) for name in ("GC_TASK_UUID", "GC_TASK_SANDBOX_DIR")}
        where = os.getcwd()
        os.chdir(cwd)
    logged = [
        (
            record.name,
            record.levelno,
            _without_times(record.getMessage()),
            record.funcName,
            record.pathname,
            _lines(
                record.exc_text or (logging.Formatter().formatException(record.exc_info) if record.exc_info else "")
            ),
        )
        for record in caplog.records
        if record.name == helper.__name__
    ]
    return outcome, environment, where, logged


def _without_times(text: str) -> str:
    return text.rpartition(" in ")[0] if text.endswith(" ns") else text


def _lines(text: str) -> list[str]:
    """A traceback without the addresses of objects."""
    return [line for line in text.splitlines() if " at 0x" not in line]


@pytest.mark.parametrize("name", BODIES)
def test_same_task_same_result(served: CrateDir, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    make, options = BODIES[name]
    body = make()
    options = {"run_dir": str(tmp_path), **options}
    settings = {**provenance(served.crates), "attempt": 1, "function_id": None}

    def ours(*args: Any, **kwargs: Any) -> bytes:
        return worker.execute_task(*args, provenance=settings, **kwargs)

    with caplog.at_level(logging.DEBUG, logger=helper.__name__):
        expected = _outcome(STOCK, body, options, caplog)
        outcome = _outcome(ours, body, options, caplog)
        once_more = _outcome(STOCK, body, options, caplog)
    assert outcome[0] == expected[0]
    assert outcome[1:3] == expected[1:3]
    assert outcome[3] == expected[3]
    assert once_more == expected
    log = str(outcome[3])
    assert "prov_worker" not in log


def test_signature_is_stocks_and_provenance() -> None:
    stock, ours = inspect.signature(STOCK), inspect.signature(worker.execute_task)
    kinds = {parameter.kind for parameter in ours.parameters.values()}
    assert inspect.Parameter.VAR_KEYWORD in kinds
    for name, parameter in stock.parameters.items():
        if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD:
            assert list(ours.parameters)[list(stock.parameters).index(name)] == name
            assert (ours.parameters[name].default is None) == (parameter.default is None)
        else:
            assert name not in ours.parameters  # passed on as it came
    assert ours.parameters["provenance"].kind is inspect.Parameter.KEYWORD_ONLY
    assert inspect.signature(worker.wrap(STOCK)) == stock


def test_a_task_that_is_run_again_keeps_every_execution(served: CrateDir, tmp_path: Path) -> None:
    task, body = uuid.uuid4(), _task_of(own_add, 1, 2)
    settings = {**provenance(served.crates), "attempt": 1, "function_id": None}
    cwd = os.getcwd()
    for _ in range(2):
        worker.execute_task(body, task, ENDPOINT, provenance=settings, run_dir=str(tmp_path))
    os.chdir(cwd)

    def of_task() -> list[str]:
        return sorted(name for name in served.names() if name.startswith(str(task)))

    wait_until(lambda: len(of_task()) == 2, served.describe)
    assert [served.crate(name.removesuffix(".crate")).status for name in of_task()] == ["completed"] * 2
