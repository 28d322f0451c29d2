from __future__ import annotations

import json

import pytest

from prov_worker.recorder.failures import failure

AppTimeout = type("AppTimeout", (Exception,), {})


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
    assert json.loads(failure("exception", KeyError(), None))["message"] == ""
