"""What each state reads of the state of a run, and what it writes there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from prov_worker.flow import expressions, paths, shapes
from prov_worker.flow.providers import Provider, provider_of
from prov_worker.flow.shapes import ANY, Presence, Property, Shape
from prov_worker.flow.source import Steps
from prov_worker.flow.states import result_steps, rules

_NUMBER, _TEXT = frozenset(("number",)), frozenset(("string",))
_BOOLEAN, _ANYTHING = frozenset(("boolean",)), frozenset[str]()
#: What an action leaves at its ResultPath (Action Provider Interface, "ActionStatus").
RESULT = Shape(
    frozenset(("object",)),
    {
        key: Property(Shape(types), Presence.ALWAYS)
        for key, types in {
            "action_id": _TEXT,
            "status": _TEXT,
            "creator_id": _TEXT,
            "start_time": _TEXT,
            "details": frozenset[str](),
        }.items()
    },
)
_STATUS = ("completion_time", "display_status", "label", "manage_by", "monitor_by", "release_after")
#: The same if it takes the place of all of the state: nothing else is there then.
_ONLY_RESULT = Shape(
    frozenset(("object",)),
    {**RESULT.properties, **{key: Property(ANY, Presence.OPTIONAL) for key in _STATUS}},
    True,
)
#: What an error leaves if a Catch does not say where.
ONLY_ERROR = Shape(
    frozenset(("object",)),
    {
        **{key: Property(ANY, Presence.ALWAYS) for key in ("Error", "Cause")},
        **{key: Property(ANY, Presence.OPTIONAL) for key in _ONLY_RESULT.properties},
    },
    True,
)
#: What is known of the run itself (https://docs.globus.org/api/flows/authoring-flows/context/).
CONTEXT = Shape(
    frozenset(("object",)),
    {
        key: Property(Shape(types), Presence.ALWAYS)
        for key, types in {
            "flow_id": _TEXT,
            "run_id": _TEXT,
            "action_id": _TEXT,
            "username": _TEXT,
            "email": _TEXT,
            "user_id": _TEXT,
            "identities": frozenset(("array",)),
            "token_info": frozenset(("object",)),
        }.items()
    },
)


class Read(NamedTuple):
    """A place of the state that a flow's state reads.

    Attributes:
        text: as it is written.
        path: what is read; None if the text is not a path.
        steps: to the text, from the flow's state.
        expected: the types that are taken; empty for any.
        guarded: whether the state does not fail if it is absent.
        problem: why the text is not a path or expression; empty if it is.
    """

    text: str
    path: paths.Path | None
    steps: Steps
    expected: frozenset[str] = _ANYTHING
    guarded: bool = False
    problem: str = ""


def reads_of(state: Mapping[str, Any]) -> Iterator[Read]:
    """Yield all that a state reads, but for the tests of a Choice; see :func:`reads_of_rule`."""
    kind = state.get("Type")
    if "InputPath" in state and isinstance(state["InputPath"], str):
        yield _read(state["InputPath"], ("InputPath",))
    if kind in ("Action", "Pass", "ExpressionEval") and "Parameters" in state:
        provider = provider_of(state.get("ActionUrl")) if kind == "Action" else None
        yield from _parameters(state["Parameters"], ("Parameters",), "", provider)
    expected = {"SecondsPath": _NUMBER, "TimestampPath": _TEXT, "ErrorPath": _ANYTHING, "CausePath": _ANYTHING}
    for key, types in expected.items():
        if kind in ("Wait", "Fail") and isinstance(state.get(key), str):
            yield _read(state[key], (key,), types)


def _read(text: str, steps: Steps, expected: frozenset[str] = _ANYTHING, *, guarded: bool = False) -> Read:
    path = paths.parse(text)
    problem = "" if path is not None else f"{text!r} is not a path: one begins with $."
    return Read(text, path, steps, expected, guarded, problem)


def _parameters(value: Any, steps: Steps, key: str, provider: Provider | None) -> Iterator[Read]:
    """Yield what parameters read; ``key`` is the place among the provider's keys, such as ``DATA[].recursive``."""
    if isinstance(value, list):
        for number, child in enumerate(value):
            yield from _parameters(child, (*steps, number), f"{key}[]", provider)
    elif isinstance(value, Mapping):
        for name, child in value.items():
            plain = name[:-2] if name.endswith((".$", ".=")) else name
            inner = f"{key}.{plain}" if key else plain
            expected = _ANYTHING if provider is None else provider.types.get(inner, _ANYTHING)
            if name.endswith(".$"):
                if isinstance(child, str):
                    yield _read(child, (*steps, name), expected)
                else:
                    yield Read(repr(child), None, (*steps, name), problem="expected a path, a text that begins with $.")
            elif name.endswith(".="):
                yield from _expression(child, (*steps, name), expected)
            else:
                yield from _parameters(child, (*steps, name), inner, provider)


def _expression(text: Any, steps: Steps, expected: frozenset[str]) -> Iterator[Read]:
    if not isinstance(text, str):
        yield Read(repr(text), None, steps, problem="expected an expression, a text")
        return
    try:
        places = expressions.reads(text)
    except expressions.ExpressionError as error:
        yield Read(text, None, steps, problem=str(error))
        return
    for place in places:
        # A name alone is the value itself; what an expression makes of several is not known.
        types = expected if len(places) == 1 and text.strip() == ".".join(map(str, place.path.steps)) else _ANYTHING
        yield Read(text, place.path, steps, types, place.guarded)


_TESTS = (("String", _TEXT), ("Numeric", _NUMBER), ("Boolean", _BOOLEAN), ("Timestamp", _TEXT))


def reads_of_rule(rule: Mapping[str, Any], steps: Steps) -> Iterator[Read]:
    """Yield what a rule of a Choice reads."""
    present = [test["Variable"] for test, _ in rules(rule, ()) if "IsPresent" in test]
    for test, place in rules(rule, steps):
        if not isinstance(test["Variable"], str):
            continue
        operators = [key for key in test if key not in ("Variable", "Next", "Comment")]
        expected = _ANYTHING
        for operator in operators:
            expected = next((types for prefix, types in _TESTS if operator.startswith(prefix)), expected)
            if operator.endswith("Path") and isinstance(test[operator], str):
                yield _read(test[operator], (*place, operator), expected)
        guarded = "IsPresent" in test or any(
            isinstance(other, str) and test["Variable"].startswith(other) for other in present
        )
        yield _read(test["Variable"], (*place, "Variable"), expected, guarded=guarded)


def presence_tests(rule: Any) -> tuple[list[Steps], list[Steps]]:
    """Return what is present if a rule holds, and what is present if it does not."""
    if not isinstance(rule, Mapping):
        return [], []
    if "Not" in rule:
        holds, fails = presence_tests(rule["Not"])
        return fails, holds
    if isinstance(rule.get("And"), list):
        return [steps for inner in rule["And"] for steps in presence_tests(inner)[0]], []
    if isinstance(rule.get("Or"), list):
        return [], [steps for inner in rule["Or"] for steps in presence_tests(inner)[1]]
    path = paths.parse(rule["Variable"]) if isinstance(rule.get("Variable"), str) else None
    if path is None or not path.whole or "IsPresent" not in rule:
        return [], []
    return ([path.steps], []) if rule["IsPresent"] is True else ([], [path.steps])


def after(state: Mapping[str, Any], before: Shape) -> Shape:
    """Return what is known of the run's state after a flow's state has done its work.

    A result without a ResultPath takes the place of all of it.
    """
    kind = state.get("Type")
    if kind == "Action":
        result = RESULT if result_steps(state) else _ONLY_RESULT
    elif kind == "ExpressionEval":
        result = _made(state.get("Parameters"), before)
    elif kind == "Pass":
        if "Result" in state:
            result = shapes.of_value(state["Result"])
        elif "Parameters" in state:
            result = _made(state["Parameters"], before)
        else:
            result = _at(state["InputPath"], before) if isinstance(state.get("InputPath"), str) else before
    else:
        return before
    steps = result_steps(state)
    if steps is None:
        return before
    return keep_context(shapes.written(before, steps, result))


def keep_context(shape: Shape) -> Shape:
    """Return the shape with what every run has, whatever is written."""
    entry = shape.properties.get("_context")
    if entry is not None and entry.shape is CONTEXT:
        return shape
    return shapes.written(shape, ("_context",), CONTEXT)


def _at(text: str, before: Shape) -> Shape:
    path = paths.parse(text)
    return shapes.read(before, path.steps).shape if path is not None and path.whole else ANY


def _made(value: Any, before: Shape) -> Shape:
    """Return what parameters make, with paths and expressions filled in."""
    if isinstance(value, Mapping):
        entries = {}
        for name, child in value.items():
            if name == "__Private_Parameters":
                continue
            if name.endswith(".$"):
                entries[name[:-2]] = Property(_at(child, before) if isinstance(child, str) else ANY, Presence.ALWAYS)
            elif name.endswith(".="):
                entries[name[:-2]] = Property(_evaluated(child, before), Presence.ALWAYS)
            else:
                entries[name] = Property(_made(child, before), Presence.ALWAYS)
        return Shape(frozenset(("object",)), entries, True)
    if isinstance(value, list):
        items = [_made(child, before) for child in value]
        joined = items[0] if items else None
        for item in items[1:]:
            joined = item if joined is None else shapes.join(joined, item)
        return Shape(frozenset(("array",)), items=joined)
    return shapes.of_value(value)


def _evaluated(text: Any, before: Shape) -> Shape:
    """Return what an expression gives: known if it is the name of something, or a list or text as it is written."""
    if not isinstance(text, str):
        return ANY
    plain = text.strip()
    if plain.startswith("[") and plain.endswith("]"):
        return Shape(frozenset(("array",)))
    path = paths.parse(f"$.{plain}")
    return shapes.read(before, path.steps).shape if path is not None and path.whole else ANY
