"""How the flow ends: no dead ends, no loops that nothing leads out of."""

from __future__ import annotations

from collections.abc import Iterator

from prov_worker.flow.checks import CHECKS
from prov_worker.flow.findings import ERROR, WARNING, Draft
from prov_worker.flow.states import TYPES, Flow


def ends(flow: Flow) -> Iterator[Draft]:
    """Yield states without a way on, Choices that may find no rule, and loops without exit."""
    document = flow.definition
    dead = set()
    for name, state in flow.states.items():
        kind = state.get("Type")
        if kind == "Choice":
            if "Default" not in state and isinstance(state.get("Choices"), list):
                yield Draft(
                    WARNING, document, ("States", name), "no Default: a run to which no rule applies fails here"
                )
        elif kind in TYPES and "Next" not in state and not flow.ends(name):
            dead.add(name)
            yield Draft(ERROR, document, ("States", name), 'a dead end: neither Next nor "End": true')
    endless = _endless(flow, dead)
    named: set[str] = set()
    for name in endless:
        if name in named:
            continue
        circle = _circle(flow, name, endless)
        named.update(_from(flow, name))
        if len(circle) == 1:
            message = "a loop without exit: the state leads to itself alone"
        else:
            message = f"a loop without exit: {' → '.join([*circle, circle[0]])}"
        yield Draft(ERROR, document, ("States", circle[0]), message)


def _endless(flow: Flow, dead: set[str]) -> list[str]:
    """Return states that can be reached and from which no end can; what was reported before is left out."""
    leads = {name: [transition.target for transition in flow.transitions(name)] for name in flow.states}
    out = {
        name for name in flow.states if flow.ends(name) or name in dead or flow.states[name].get("Type") not in TYPES
    }
    out |= {name for name, targets in leads.items() if not targets or any(t not in flow.states for t in targets)}
    changed = True
    while changed:
        more = {name for name in flow.states if name not in out and out.intersection(leads[name])}
        out |= more
        changed = bool(more)
    return [name for name in flow.states if name in flow.reachable and name not in out]


def _circle(flow: Flow, name: str, endless: list[str]) -> list[str]:
    """Return a loop that is reached from a state: its states in their order."""
    way: list[str] = []
    while name not in way:
        way.append(name)
        name = next(t.target for t in flow.transitions(name) if t.target in endless)
    return way[way.index(name) :]


def _from(flow: Flow, name: str) -> set[str]:
    """Return all states that are reached from one, itself included."""
    seen = {name}
    waiting = [name]
    for state in waiting:
        for transition in flow.transitions(state):
            if transition.target in flow.states and transition.target not in seen:
                seen.add(transition.target)
                waiting.append(transition.target)
    return seen


CHECKS.add("ends", ends, rank=20)
