"""What is found below Parsl's wrappers of an app, and what an app does that cannot be recorded."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from prov_worker.capture.parsl import RecordedApp, _function_of, arrive, step_id
from prov_worker.capture_settings import Capture
from prov_worker.recorder.bash_apps import BashCommand, bash_command
from prov_worker.recorder.step import step

parsl = pytest.importorskip("parsl")
CALL = {"id": "a", "attempt": 1, "part": {}, "name": "app", "join": False, "provenance": {}, "endpoint": None}


def solve(case: str) -> str:
    return f"echo {case}"


def wrapped(function: Callable[..., Any]) -> Any:
    from parsl.app.errors import wrap_error

    return wrap_error(function)


def bash_app(function: Callable[..., Any]) -> Any:
    from parsl.app.bash import BashApp

    return BashApp(function).wrapped_remote_function


def test_a_function_is_found_below_all_wrappers() -> None:
    from parsl.app.python import timeout

    assert _function_of(wrapped(solve), "solve") == (solve, "solve")
    assert _function_of(timeout(wrapped(solve), 3.0), "solve") == (solve, "solve")
    assert _function_of(wrapped(step(name="a step")(solve)), "solve") == (solve, "a step")
    command, name = _function_of(bash_app(solve), "solve")
    assert isinstance(command, BashCommand)
    assert (command.__wrapped__, name) == (solve, "solve")
    command, name = _function_of(wrapped(step(name="a step")(command)), "solve")
    assert (isinstance(command, BashCommand), name) == (True, "a step")
    partial = functools.partial(map, solve)
    assert _function_of(wrapped(partial), "map") == (partial, "map")


def test_a_bash_app_is_known_by_what_parsl_made_of_it() -> None:
    assert bash_command(wrapped(solve)) is None
    assert bash_command(print) is None
    command = bash_command(bash_app(solve))
    assert command is not None
    assert command("a") == 0


def test_an_app_that_cannot_be_recorded_is_called_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    assert RecordedApp(solve, CALL)("a") == "echo a"
    assert "the start of a Parsl app" in caplog.text
    assert RecordedApp(solve, CALL).__name__ == "solve"


def test_a_kernel_of_another_shape_is_left_alone() -> None:
    import types

    module = types.ModuleType("parsl.dataflow.other")
    module.DataFlowKernel = type("DataFlowKernel", (), {})  # type: ignore[attr-defined]
    assert arrive(module, Capture()) == "how this release launches apps is not known"


def test_ids_tell_runs_and_tasks_apart() -> None:
    assert len({step_id(run, number) for run in ("a", "b") for number in (1, 2)}) == 4
    assert step_id("a", 1) == step_id("a", 1)
