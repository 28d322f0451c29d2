"""Where the flow goes: every name of a state is one, and every state is reached."""

from __future__ import annotations

from collections.abc import Iterator

from prov_worker.flow.checks import CHECKS
from prov_worker.flow.findings import ERROR, Draft
from prov_worker.flow.states import Flow
from prov_worker.humanize import nearest


def targets(flow: Flow) -> Iterator[Draft]:
    """Yield names of states that are none, and states that nothing leads to."""
    document, names = flow.definition, flow.definition.value.get("States")
    if not isinstance(names, dict):
        return
    start = document.value.get("StartAt")
    if isinstance(start, str) and start not in names:
        yield Draft(ERROR, document, ("StartAt",), _absent(start, names))
    for name in flow.states:
        for transition in flow.transitions(name):
            if transition.target not in names:
                yield Draft(ERROR, document, ("States", name, *transition.steps), _absent(transition.target, names))
    if flow.start is None:
        return
    for name in flow.states:
        if name not in flow.reachable:
            yield Draft(ERROR, document, ("States", name), f"nothing leads from {flow.start!r} to this state")


def _absent(name: str, names: dict[str, object]) -> str:
    hint = nearest(name, names)
    return f"there is no state {name!r}" + (f"; {hint}" if hint else "")


CHECKS.add("targets", targets, rank=10)
