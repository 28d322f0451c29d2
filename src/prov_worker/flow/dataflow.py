"""What is known of a run's state when it comes to each state of the flow, over all ways to there."""

from __future__ import annotations

from prov_worker.flow import reads, shapes
from prov_worker.flow.schema_shapes import of_schema
from prov_worker.flow.shapes import ANY, Shape
from prov_worker.flow.states import Flow, Transition

#: A state is looked at so often at most: what is known of it shrinks each time, and what does not is of a loop that
#: puts the state into itself.
_ROUNDS = 64


def initial(flow: Flow) -> Shape:
    """Return what is known of the input: by its schema, else by itself, else nothing."""
    if flow.schema is not None:
        shape = of_schema(flow.schema.value)
    elif flow.input is not None:
        shape = shapes.of_value(flow.input.value)
    else:
        shape = ANY
    return reads.keep_context(shape)


def shapes_before(flow: Flow) -> dict[str, Shape]:
    """Return what is known before each state that can be reached, by its name."""
    if flow.start is None:
        return {}
    before = {flow.start: initial(flow)}
    rounds = dict.fromkeys(flow.states, 0)
    waiting = [flow.start]
    while waiting:
        name = waiting.pop()
        rounds[name] += 1
        if rounds[name] > _ROUNDS:
            continue
        done = reads.after(flow.states[name], before[name])
        passed: list[Transition] = []
        for transition in flow.transitions(name):
            if transition.target not in flow.states:
                continue
            shape = _taken(transition, passed, before[name], done)
            passed.append(transition)
            earlier = before.get(transition.target)
            joined = shape if earlier is None else shapes.join(earlier, shape)
            if joined != earlier:
                before[transition.target] = joined
                waiting.append(transition.target)
    return before


def _taken(transition: Transition, passed: list[Transition], before: Shape, done: Shape) -> Shape:
    """Return what is there after a transition: an error writes at its own place, and a Choice has shown what is."""
    if transition.caught:
        if transition.result is None:
            return before
        error = ANY if transition.result else reads.ONLY_ERROR
        return reads.keep_context(shapes.written(before, transition.result, error))
    shape = done
    for other in passed:
        for steps in reads.presence_tests(other.rule)[1]:
            shape = shapes.sure(shape, steps)
    for steps in reads.presence_tests(transition.rule)[0]:
        shape = shapes.sure(shape, steps)
    return shape
