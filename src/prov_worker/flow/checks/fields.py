"""The fields of the definition and of each state: those that are needed, those that are known, and their types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from prov_worker.flow.checks import CHECKS
from prov_worker.flow.findings import ERROR, WARNING, Draft, Remark
from prov_worker.flow.source import Steps
from prov_worker.flow.states import TYPES, Flow, rules
from prov_worker.humanize import clipped, nearest

_NAMES = {str: "a text", bool: "true or false", dict: "an object", list: "a list", int: "a whole number"}
_TOP = {"Comment": str, "StartAt": str, "States": dict}
_COMMON: dict[str, Any] = {"Type": str, "Comment": str}
_ON: dict[str, Any] = {"Next": str, "End": bool}


class _Fields(NamedTuple):
    known: dict[str, Any]
    needed: tuple[tuple[str, ...], ...] = ()
    exclusive: tuple[tuple[str, ...], ...] = ()


_FIELDS = {
    "Action": _Fields(
        {
            **_COMMON,
            **_ON,
            "ActionUrl": str,
            "ActionScope": str,
            "Handler": (str, dict),
            "InputPath": str,
            "Parameters": dict,
            "ResultPath": (str, type(None)),
            "WaitTime": int,
            "ExceptionOnActionFailure": bool,
            "RunAs": str,
            "Catch": list,
        },
        (("ActionUrl", "Handler"), ("Parameters", "InputPath")),
        (("Parameters", "InputPath"), ("ActionUrl", "Handler"), ("Next", "End")),
    ),
    "Choice": _Fields({**_COMMON, "Choices": list, "Default": str, "InputPath": str}, (("Choices",),)),
    "ExpressionEval": _Fields(
        {**_COMMON, **_ON, "Parameters": dict, "ResultPath": (str, type(None)), "Catch": list},
        (("Parameters",),),
        (("Next", "End"),),
    ),
    "Fail": _Fields(
        {**_COMMON, "Error": str, "Cause": str, "ErrorPath": str, "CausePath": str},
        (),
        (("Error", "ErrorPath"), ("Cause", "CausePath")),
    ),
    "Pass": _Fields(
        {
            **_COMMON,
            **_ON,
            "InputPath": str,
            "Parameters": dict,
            "Result": (dict, list, str, int, float, bool, type(None)),
            "ResultPath": (str, type(None)),
        },
        (),
        (("Next", "End"),),
    ),
    "Wait": _Fields(
        {**_COMMON, **_ON, "Seconds": int, "Timestamp": str, "SecondsPath": str, "TimestampPath": str},
        (("Seconds", "Timestamp", "SecondsPath", "TimestampPath"),),
        (("Seconds", "Timestamp", "SecondsPath", "TimestampPath"), ("Next", "End")),
    ),
}
_CATCH = {"ErrorEquals": list, "Next": str, "ResultPath": (str, type(None)), "Comment": str}
_COMPARISONS = ("Equals", "LessThan", "GreaterThan", "LessThanEquals", "GreaterThanEquals")
_OPERANDS: dict[str, Any] = {
    **{f"{kind}{name}": operand for kind, operand in (("String", str), ("Timestamp", str)) for name in _COMPARISONS},
    **{f"Numeric{name}": (int, float) for name in _COMPARISONS},
    "BooleanEquals": bool,
    "StringMatches": str,
    **{f"Is{kind}": bool for kind in ("Null", "Present", "Numeric", "String", "Boolean", "Timestamp")},
}
_OPERATORS = {
    **_OPERANDS,
    **{f"{name}Path": str for name in _OPERANDS if not name.startswith("Is") and name != "StringMatches"},
}
#: State types and fields of the States Language that Flows does not have, and what there is instead.
_ABSENT = {
    "Map": "several tasks of one compute action are Flows' way to fan out",
    "Parallel": "several tasks of one compute action are Flows' way to fan out",
    "Task": "an Action is what does work",
    "Succeed": 'a Pass with "End": true ends a run well',
    "Retry": "a Catch whose Next leads back, by way of a Wait, tries again",
    "OutputPath": "ResultPath says where a result goes",
    "ResultSelector": "an ExpressionEval makes what is needed of a result",
    "TimeoutSeconds": "WaitTime is the limit of an action",
}


def fields(flow: Flow) -> Iterator[Draft]:
    """Yield fields that are missing, unknown, of another type, or exclude one another."""
    document = flow.definition
    for remark in _mapping(document.value, (), _TOP, "a definition"):
        yield remark.at(document)
    for key in ("StartAt", "States"):
        if key not in document.value:
            yield Draft(ERROR, document, (), f"{key} is missing")
    states = document.value.get("States")
    if isinstance(states, Mapping) and not states:
        yield Draft(ERROR, document, ("States",), "there is no state")
    for name, state in states.items() if isinstance(states, Mapping) else ():
        for remark in _state(state, ("States", name)):
            yield remark.at(document)


def _state(state: Any, steps: Steps) -> Iterator[Remark]:
    if not isinstance(state, Mapping):
        yield Remark(ERROR, steps, "expected an object")
        return
    kind = state.get("Type")
    if kind not in TYPES:
        if "Type" not in state:
            yield Remark(ERROR, steps, f"Type is missing: one of {', '.join(TYPES)}")
        else:
            yield Remark(ERROR, (*steps, "Type"), f"unknown type of state: {kind!r}{_instead(kind, TYPES)}")
        return
    rule = _FIELDS[kind]
    yield from _mapping(state, steps, rule.known, f"{'an' if kind[0] in 'AE' else 'a'} {kind} state")
    for group in rule.needed:
        if not any(key in state for key in group):
            yield Remark(ERROR, steps, f"{' or '.join(group)} is missing")
    for group in rule.exclusive:
        given = [key for key in group if key in state and state[key] is not False]
        if len(given) > 1:
            yield Remark(ERROR, (*steps, given[1]), f"{' and '.join(given)} exclude one another")
    for key in ("ActionUrl",):
        if isinstance(state.get(key), str) and not state[key].startswith(("https://", "http://")):
            yield Remark(ERROR, (*steps, key), f"{state[key]!r} is not an address: one begins with https://")
    for number, catcher in enumerate(state["Catch"] if isinstance(state.get("Catch"), list) else ()):
        yield from _catcher(catcher, (*steps, "Catch", number))
    for number, choice in enumerate(state["Choices"] if isinstance(state.get("Choices"), list) else ()):
        yield from _choice(choice, (*steps, "Choices", number))
    if kind == "Choice" and state.get("Choices") == []:
        yield Remark(ERROR, (*steps, "Choices"), "there is no rule")


def _mapping(value: Mapping[str, Any], steps: Steps, fields: Mapping[str, Any], owner: str) -> Iterator[Remark]:
    for key, child in value.items():
        if key not in fields:
            yield Remark(ERROR, (*steps, key), f"{owner} has no {key}{_instead(key, fields)}")
        elif not _is(child, fields[key]):
            yield Remark(ERROR, (*steps, key), f"{key}: expected {_expected(fields[key])}, got {_shown(child)}")


def _is(value: Any, kinds: Any) -> bool:
    if isinstance(value, bool):  # which Python takes for a number
        return bool in (kinds if isinstance(kinds, tuple) else (kinds,))
    return isinstance(value, kinds)


def _expected(kinds: Any) -> str:
    kind = kinds[0] if isinstance(kinds, tuple) else kinds
    return "a number" if kinds == (int, float) else _NAMES[kind]


def _shown(value: Any) -> str:
    return clipped(repr(value), 60)


def _instead(name: Any, names: Any) -> str:
    if isinstance(name, str) and name in _ABSENT:
        return f"; {_ABSENT[name]}"
    hint = nearest(str(name), names)
    return f"; {hint}" if hint else ""


def _catcher(catcher: Any, steps: Steps) -> Iterator[Remark]:
    if not isinstance(catcher, Mapping):
        yield Remark(ERROR, steps, "expected an object")
        return
    yield from _mapping(catcher, steps, _CATCH, "a Catch")
    for key in ("ErrorEquals", "Next"):
        if key not in catcher:
            yield Remark(ERROR, steps, f"{key} is missing")
    names = catcher.get("ErrorEquals")
    if isinstance(names, list) and (not names or not all(isinstance(name, str) for name in names)):
        yield Remark(ERROR, (*steps, "ErrorEquals"), "expected the names of errors, such as ActionFailedException")


def _choice(choice: Any, steps: Steps) -> Iterator[Remark]:
    if not isinstance(choice, Mapping):
        yield Remark(ERROR, steps, "expected an object")
        return
    if not isinstance(choice.get("Next"), str):
        yield Remark(ERROR, steps, "Next is missing, or no text")
    tests = list(rules(choice, steps))
    if not tests:
        yield Remark(ERROR, steps, "the rule tests nothing: expected Variable, And, Or or Not")
    for test, place in tests:
        operators = [key for key in test if key not in ("Variable", "Next", "Comment")]
        if not isinstance(test["Variable"], str):
            yield Remark(ERROR, (*place, "Variable"), "expected a path, a text that begins with $.")
        if not operators:
            yield Remark(ERROR, place, "the rule has no operator, such as StringEquals")
        for operator in operators:
            if operator not in _OPERATORS:
                yield Remark(ERROR, (*place, operator), f"unknown operator: {operator}{_instead(operator, _OPERATORS)}")
            elif not _is(test[operator], _OPERATORS[operator]):
                kind = _expected(_OPERATORS[operator])
                yield Remark(ERROR, (*place, operator), f"{operator}: expected {kind}, got {_shown(test[operator])}")
        if len(operators) > 1:
            yield Remark(WARNING, place, f"a rule has one operator; here are {', '.join(operators)}")


CHECKS.add("fields", fields, rank=0)
