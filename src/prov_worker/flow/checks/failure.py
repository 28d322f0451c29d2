"""What becomes of a compute action that fails."""

from __future__ import annotations

from collections.abc import Iterator

from prov_worker.flow import providers
from prov_worker.flow.checks import CHECKS
from prov_worker.flow.findings import NOTE, WARNING, Draft
from prov_worker.flow.reads import reads_of, reads_of_rule
from prov_worker.flow.states import Flow, mappings, result_steps

_FIELD = "ExceptionOnActionFailure"


def failure(flow: Flow) -> Iterator[Draft]:
    """Yield compute actions whose failure goes unseen, or that leave open what a failure does."""
    for name, state in flow.states.items():
        if state.get("Type") != "Action" or not providers.is_compute(state.get("ActionUrl")):
            continue
        if _FIELD not in state:
            message = (
                f"{_FIELD} is not stated: Flows' documentation has true as its default, the schema of its old client "
                "and Gladier have false; with false the flow goes on after a task that failed"
            )
            yield Draft(NOTE, flow.definition, ("States", name), message)
        elif state[_FIELD] is False and not _is_looked_at(flow, name):
            message = "a task that fails goes unseen: nothing looks at the action's status; set it to true, and Catch"
            yield Draft(WARNING, flow.definition, ("States", name, _FIELD), message)


def _is_looked_at(flow: Flow, name: str) -> bool:
    """Return whether any state reads the status of an action's result, or all of the result."""
    place = result_steps(flow.states[name])
    if place is None:
        return False
    looked_at = {(*place, "status"), place} - {()}
    for state in flow.states.values():
        tests = [
            read
            for number, rule in enumerate(mappings(state.get("Choices")))
            for read in reads_of_rule(rule, (number,))
        ]
        for read in (*reads_of(state), *tests):
            if read.path is not None and read.path.steps in looked_at:
                return True
    return False


CHECKS.add("failure", failure, rank=50)
