"""The data: what a state reads is an input, or was written on all ways to the state, and has the type that is taken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prov_worker.flow import shapes
from prov_worker.flow.checks import CHECKS
from prov_worker.flow.dataflow import shapes_before
from prov_worker.flow.findings import ERROR, NOTE, WARNING, Draft, Remark
from prov_worker.flow.paths import parse_reference
from prov_worker.flow.reads import Read, presence_tests, reads_of, reads_of_rule
from prov_worker.flow.shapes import Presence, Shape
from prov_worker.flow.source import Steps, json_path
from prov_worker.flow.states import Flow, mappings, result_steps
from prov_worker.humanize import nearest


def data(flow: Flow) -> Iterator[Draft]:
    """Yield paths that lead to nothing, or to nothing on some ways, and values of another type than is taken."""
    if flow.schema is None and flow.input is None and flow.start is not None:
        yield Draft(NOTE, flow.definition, (), "no input schema: what the input has to bring was not checked")
    before = shapes_before(flow)
    for name, state in flow.states.items():
        place: Steps = ("States", name)
        for remark in (*_results(state), *_reads(flow, name, before.get(name))):
            yield remark.at(flow.definition, place)


def _results(state: Mapping[str, Any]) -> Iterator[Remark]:
    """Return paths that results are written to."""
    holders: list[tuple[Steps, Mapping[str, Any]]] = [((), state)]
    holders += [(("Catch", number), catcher) for number, catcher in enumerate(mappings(state.get("Catch")))]
    for steps, holder in holders:
        path = holder.get("ResultPath")
        if not isinstance(path, str):
            continue
        reference = parse_reference(path)
        if reference is None:
            message = f"{path!r} is not a place for a result: expected $.name, with names and numbers alone"
            yield Remark(ERROR, (*steps, "ResultPath"), message)
        elif reference[:1] == ("_context",):
            yield Remark(ERROR, (*steps, "ResultPath"), "$._context cannot be written")


def _reads(flow: Flow, name: str, before: Shape | None) -> Iterator[Remark]:
    """Return what a state reads; of one that is not reached, only whether paths are paths."""
    state = flow.states[name]
    pairs: list[tuple[Read, Shape | None]] = [(read, before) for read in reads_of(state)]
    if state.get("Type") == "Choice":
        shape = before
        for number, rule in enumerate(mappings(state.get("Choices"))):
            pairs += [(read, shape) for read in reads_of_rule(rule, ("Choices", number))]
            for steps in presence_tests(rule)[1] if shape is not None else ():
                shape = shapes.sure(shape, steps)  # type: ignore[arg-type]
    for read, at_read in pairs:
        if read.path is None:
            yield Remark(ERROR, read.steps, read.problem)
        elif at_read is not None:
            yield from _judge(flow, name, read, at_read)


def _judge(flow: Flow, name: str, read: Read, shape: Shape) -> Iterator[Remark]:
    assert read.path is not None
    reading = shapes.read(shape, read.path.steps)
    text = json_path(read.path.steps)
    if reading.presence is Presence.NEVER:
        if not read.guarded:
            yield Remark(ERROR, read.steps, _never(flow, text, read.path.steps, reading))
    elif reading.presence is Presence.SOMETIMES:
        if not read.guarded:
            yield Remark(ERROR, read.steps, f"{text} is not written on every way here{_way(flow, name, read)}")
    elif reading.presence is Presence.OPTIONAL and not read.guarded:
        yield Remark(
            WARNING,
            read.steps,
            f"{text} may be left out by the schema, and the state fails without it: require it, or test for it",
        )
    if reading.presence < Presence.NEVER and read.path.whole and not shapes.accepts(read.expected, reading.shape):
        taken, given = _types(read.expected), _types(reading.shape.types)
        yield Remark(ERROR, read.steps, f"{text} is {given}; {taken} is taken here")


def _types(types: frozenset[str]) -> str:
    return " or ".join(
        f"{'an' if kind[0] in 'aio' else 'a'} {kind}" if kind != "null" else kind for kind in sorted(types)
    )


def _never(flow: Flow, text: str, steps: Steps, reading: shapes.Reading) -> str:
    followed = json_path(steps[: reading.length])
    around = reading.around
    if not around.may_be("object") and not (around.may_be("array") and isinstance(steps[reading.length], int)):
        return f"{text}: {followed} is {_types(around.types)}, which has no {steps[reading.length]!r}"
    source = "the schema has no such property, and no state writes it" if flow.schema else "no state writes it"
    if reading.length and _is_result(flow, steps[: reading.length]):
        source = f"{followed} has no such property"
    hint = nearest(str(steps[reading.length]), around.properties, likeness=0.5)
    if not hint and around.properties and len(around.properties) <= 8:
        hint = f"there {'is' if len(around.properties) == 1 else 'are'} {', '.join(around.properties)}"
    return f"{text} is nowhere: {source}" + (f"; {hint}" if hint else "")


def _is_result(flow: Flow, steps: Steps) -> bool:
    """Return whether something is written by a state, not brought by the input."""
    return any(result_steps(state) == steps for state in flow.states.values())


def _way(flow: Flow, name: str, read: Read) -> str:
    """Return a way to a state on which nothing is written that holds what is read."""
    assert read.path is not None
    steps = read.path.steps
    if flow.start is None:
        return ""
    before: dict[str, str | None] = {flow.start: None}
    waiting = [flow.start]
    for state in waiting:
        for transition in flow.transitions(state):
            written = transition.result if transition.caught else result_steps(flow.states[state])
            writes = written is not None and bool(written) and steps[: len(written)] == written
            works = transition.caught or flow.states[state].get("Type") in ("Action", "Pass", "ExpressionEval")
            if transition.target in flow.states and transition.target not in before and not (writes and works):
                before[transition.target] = state
                waiting.append(transition.target)
    if name not in before:
        return ""
    way = [name]
    while (previous := before[way[0]]) is not None:
        way.insert(0, previous)
    return f": not by way of {' → '.join(way)}"


CHECKS.add("data", data, rank=30)
