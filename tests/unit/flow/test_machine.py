"""States of a run, one at a time: what they make of its state, and where they lead to."""

from __future__ import annotations

from typing import Any

import pytest

from prov_worker.flow.machine import places
from prov_worker.flow.machine.choices import holds
from prov_worker.flow.machine.expression import evaluate
from prov_worker.flow.machine.failures import EvaluationError, StateError
from prov_worker.flow.machine.machine import Machine, Step
from prov_worker.flow.machine.parameters import filled, shown

STATE: dict[str, Any] = {
    "input": {"path": "/data/run1/", "segments": [{"n": 1}, {"n": 2}, {"n": 3}], "deep": {"x": 1.5, "none": None}},
    "fit": {"details": {"results": [{"task_id": "t1", "output": 1}, {"task_id": "t2", "output": 2}]}},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("input.path.rstrip('/') + '/out'", "/data/run1/out"),
        ("[item.task_id + '.crate' for item in fit.details.results]", ["t1.crate", "t2.crate"]),
        ("`$.fit.details.results[0].task_id` + '.crate'", "t1.crate"),
        ("{'a': s.n * 2 for s in input.segments if s.n > 2}", {"a": 6}),
        ("[s['n'] for s in input.segments if s.n > 1 and not s.n == 3]", [2]),
        ("getattr('input.missing', 7) + (1 if is_present('input.path') else 0)", 8),
        ("getattr('$.input.missing')", None),
        ("pathsplit(input.path.rstrip('/'))", ["/data", "run1"]),
        ("f'{input.deep.x}-{1 + 1}'", "1.5-2"),
        ("[k for k, v in input.deep.items()]", ["x", "none"]),
        ("input.segments[1:][0].n // 2 ** 1", 1),
        ("true and null == None", True),
    ],
)
def test_expressions(text: str, value: Any) -> None:
    assert evaluate(text, STATE) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("input.missing", "no missing in input"),
        ("nothing + 1", "no nothing"),
        ("9 ** 9 ** 9", "too large"),
        ("'a' * 10 ** 9", "too large"),
        ("[0 for a in input.segments for b in 'x' * 150000]", "more than"),
        ("[[0] * 1000 for b in 'x' * 150000]", "makes too much"),
        ("'x'.join(['y' * 100000, 'z' * 199999])", "too large"),
        ("'%999999d' % 1", "not formatted"),
        ("'{}'.format(1)", "no method format"),
        ("input.__class__", "no __class__"),
        ("__import__('os')", "no function __import__"),
        ("(lambda: 1)()", "by name"),
        ("1 +", "not an expression"),
        ("float('inf')", "not a JSON value"),
        ("1 / 0", "ZeroDivisionError"),
        ("(" * 300 + "1" + ")" * 300, "not an expression"),
    ],
)
def test_expressions_without_a_value(text: str, reason: str) -> None:
    with pytest.raises(EvaluationError, match=reason):
        evaluate(text, STATE)


def test_places() -> None:
    assert places.read(STATE, "$.fit.details.results[-1].output") == 2
    assert places.read(STATE, "$.input.segments[*].n") == [1, 2, 3]
    assert places.read(STATE, "$..task_id") == ["t1", "t2"]
    assert places.read(STATE, "$.input.segments[1:].n") == [2, 3]
    assert places.read(STATE, "$") == STATE
    for path, reason in (("$.no.where", "leads to nothing"), ("input", "not a path"), ("$.a[?(@.b)]", "no filters")):
        with pytest.raises(EvaluationError, match=reason):
            places.read(STATE, path)
    assert places.written({"a": 1}, ("b", "c"), 2) == {"a": 1, "b": {"c": 2}}
    assert places.written({"a": [1, 2]}, ("a", 1), 3) == {"a": [1, 3]}
    with pytest.raises(EvaluationError, match="only into an object"):
        places.written({"a": 1}, ("a", "b"), 2)


def test_parameters_and_what_a_log_shows_of_them() -> None:
    template = {
        "__Private_Parameters": ["secret"],
        "secret.$": "$.input.path",
        "list": [{"n.=": "input.segments[0].n"}, 4],
    }
    values = filled(template, STATE)
    assert values == {"secret": "/data/run1/", "list": [{"n": 1}, 4]}
    assert shown(template, values) == {"list": [{"n": 1}, 4]}
    with pytest.raises(EvaluationError, match=r"n\.=: nope"):
        filled({"n.=": "nope"}, STATE)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"Variable": "$.input.path", "StringEquals": "/data/run1/"}, True),
        ({"Variable": "$.input.path", "StringMatches": "/data/*1/"}, True),
        ({"Variable": "$.input.path", "StringMatches": "/data/"}, False),
        ({"Variable": "$.input.deep.x", "NumericGreaterThan": 1}, True),
        ({"Variable": "$.input.path", "NumericGreaterThan": 1}, False),
        ({"Variable": "$.input.segments[0].n", "NumericLessThanPath": "$.input.segments[1].n"}, True),
        ({"Variable": "$.input.gone", "IsPresent": False}, True),
        ({"Variable": "$.input.deep.none", "IsNull": True}, True),
        ({"Not": {"Variable": "$.input.deep.x", "IsString": True}}, True),
        (
            {"And": [{"Variable": "$.input.path", "IsPresent": True}, {"Variable": "$.input.path", "IsNull": True}]},
            False,
        ),
        ({"Or": [{"Variable": "$.input.path", "IsPresent": True}, {"Variable": "$.input.path", "IsNull": True}]}, True),
    ],
)
def test_rules_of_a_choice(rule: dict[str, Any], expected: bool) -> None:
    assert holds(rule, STATE) is expected


def test_times_in_rules() -> None:
    state = {"t": "2026-01-01T12:00:00+02:00"}
    assert holds({"Variable": "$.t", "TimestampEquals": "2026-01-01T10:00:00Z"}, state)
    assert not holds({"Variable": "$.t", "TimestampLessThan": "2026-01-01T10:00:00Z"}, state)


def machine(states: dict[str, Any]) -> Machine:
    return Machine({"StartAt": next(iter(states)), "States": states}, {"run_id": "r"})


def action(**more: Any) -> dict[str, Any]:
    return {"Type": "Action", "ActionUrl": "https://example.org/a", "Parameters": {"v.$": "$.input.path"}, **more}


def codes(step: Step) -> list[str]:
    return [entry.code for entry in step.entries]


def test_an_action_is_begun_and_its_result_is_written() -> None:
    runs = machine({"A": action(WaitTime=7, ResultPath="$.a", Next="B"), "B": {"Type": "Pass", "End": True}})
    begun = runs.enter("A", STATE, 0.0)
    assert begun.call is not None
    assert (begun.call.body, begun.call.wait_s, codes(begun)) == ({"v": "/data/run1/"}, 7.0, ["ActionStarted"])
    done = runs.acted("A", STATE, {"status": "SUCCEEDED", "details": 1})
    assert (done.follows, done.state["a"]["details"], codes(done)) == ("B", 1, ["ActionCompleted"])
    ended = runs.enter("B", done.state, 0.0)
    assert (ended.ended, ended.state) == ("SUCCEEDED", done.state)
    assert codes(ended) == ["PassStarted", "PassCompleted", "FlowSucceeded"]


def test_a_failed_action_is_caught_or_ends_the_run() -> None:
    catch = [{"ErrorEquals": ["ActionFailedException"], "ResultPath": "$.error", "Next": "B"}]
    states = {"A": action(Catch=catch, Next="B"), "B": {"Type": "Fail", "Error": "E", "CausePath": "$.error.Error"}}
    failed = {"status": "FAILED", "details": "why"}
    caught = machine(states).acted("A", STATE, failed)
    assert (caught.follows, caught.state["error"]["Error"]) == ("B", "ActionFailedException")
    assert "why" in caught.state["error"]["Cause"]
    ended = machine(states).enter("B", caught.state, 0.0)
    assert ended.entries[-1].details == {"error": "E", "cause": "ActionFailedException"}
    uncaught = machine({"A": action(End=True)}).acted("A", STATE, failed)
    assert (uncaught.ended, codes(uncaught)) == ("FAILED", ["ActionFailed", "FlowFailed"])
    unseen = machine({"A": action(ExceptionOnActionFailure=False, ResultPath="$.a", End=True)})
    assert unseen.acted("A", STATE, failed).ended == "SUCCEEDED"


def test_what_cannot_be_evaluated_fails_its_state() -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "B"}]
    bad = {"Type": "ExpressionEval", "Parameters": {"x.=": "input.none"}, "ResultPath": "$.x", "Next": "B"}
    states = {"A": {**bad, "Catch": catch}, "B": {"Type": "Pass", "End": True}}
    step = machine(states).enter("A", STATE, 0.0)
    assert (step.follows, step.state["error"]["Error"]) == ("B", "States.ParameterPathFailure")
    assert machine({"A": bad, "B": states["B"]}).enter("A", STATE, 0.0).ended == "FAILED"
    unable = machine({"A": {**action(End=True), "Parameters": {"v.$": "$.none"}}}).enter("A", STATE, 0.0)
    assert unable.entries[0].details["error"] == "ActionUnableToRun"


def test_waits_choices_and_the_context() -> None:
    states = {
        "W": {"Type": "Wait", "SecondsPath": "$.input.deep.x", "Next": "C"},
        "C": {"Type": "Choice", "Choices": [{"Variable": "$._context.run_id", "StringEquals": "r", "Next": "P"}]},
        "P": {"Type": "Pass", "Parameters": {"id.$": "$._context.run_id"}, "ResultPath": "$.p", "End": True},
    }
    runs = machine(states)
    assert runs.enter("W", STATE, 100.0).until == 101.5
    assert runs.waited("W", STATE).follows == "C"
    assert runs.enter("C", STATE, 0.0).follows == "P"
    assert runs.enter("P", STATE, 0.0).state["p"] == {"id": "r"}
    elsewhere = Machine({"StartAt": "C", "States": states}, {"run_id": "other"})
    assert elsewhere.enter("C", STATE, 0.0).ended == "FAILED"


def test_a_run_that_is_aborted_is_caught_by_nothing() -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "B"}]
    runs = machine({"A": action(Catch=catch, Next="B"), "B": {"Type": "Pass", "End": True}})
    assert runs.failed("A", STATE, StateError("States.Runtime", "x")).follows == "B"
    step = runs.aborted(STATE, StateError("States.Runtime", "too many steps"))
    assert (step.ended, step.follows, step.entries[-1].details["cause"]) == ("FAILED", None, "too many steps")


def test_a_state_beyond_the_limit_ends_the_run() -> None:
    large = {"Type": "Pass", "Parameters": {"x": "x" * 200_001}, "ResultPath": "$.x", "End": True}
    step = machine({"A": large}).enter("A", STATE, 0.0)
    assert step.ended == "FAILED"
    assert "at most 200000" in step.entries[-1].details["cause"]
