from __future__ import annotations

import json

import pytest

from prov_worker.crate.error_line import error_of
from prov_worker.model import FAILED, Failure, Function, TaskRecord, Worker
from prov_worker.recorder.failures import failure

#: As Parsl's, and as somebody else's.
AppTimeout = type("AppTimeout", (Exception,), {"__module__": "parsl.app.errors"})
OtherTimeout = type("AppTimeout", (Exception,), {})


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("4", "the time limit of 4 s was reached"),
        ("0.5", "the time limit of 0.5 s was reached"),
        ("0", "the time limit was reached"),
        ("soon", "the time limit was reached"),
        (None, "the time limit was reached"),
    ],
)
def test_a_limit_that_was_reached_is_named(monkeypatch: pytest.MonkeyPatch, limit: str | None, message: str) -> None:
    monkeypatch.delenv("GC_TASK_TIMEOUT", raising=False)
    if limit is not None:
        monkeypatch.setenv("GC_TASK_TIMEOUT", limit)
    assert json.loads(failure("exception", AppTimeout(), None))["message"] == message
    assert json.loads(failure("exception", AppTimeout("own words"), None))["message"] == "own words"
    assert json.loads(failure("exception", OtherTimeout(), None))["message"] == ""


@pytest.mark.parametrize("length", [900, 1_002, 1_900, 1_901, 5_050, 50_000])
def test_a_crate_says_how_much_of_a_message_is_missing(length: int) -> None:
    fields = json.loads(failure("exception", RuntimeError("x" * length), None))
    record = TaskRecord("a", 1, FAILED, 0, 0, Function("f"), Worker("host", 1), failure=Failure(**fields))
    missing = f" … ({length - 1900} more character{'s' * (length > 1901)})" if length > 1900 else ""
    assert error_of(record) == f"RuntimeError: {'x' * min(length, 1900)}{missing}"
