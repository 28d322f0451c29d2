"""What a definition, a schema and an input are held against when a flow is deployed or run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prov_worker.flow import Flow as Definition
from prov_worker.flow import check
from prov_worker.flow.findings import ERROR
from prov_worker.flow.providers import provider_of
from prov_worker.flow.source import Document
from prov_worker.localservice.flows.errors import FlowsError
from prov_worker.localservice.flows.scopes import TRANSFER_SCOPE
from prov_worker.localservice.tokens import COMPUTE_SCOPE

#: Ways through a flow that are counted.
_MOST_WAYS = 1000


def refuse_wrong(definition: Any, schema: Any) -> None:
    """Refuse a definition, or a schema, in which a check finds an error.

    Raises:
        FlowsError: 422; its details name the places.
    """
    if not isinstance(definition, Mapping):
        raise FlowsError(422, "UNPROCESSABLE_ENTITY", "definition: expected an object")
    if schema is not None and not isinstance(schema, Mapping):
        raise FlowsError(422, "UNPROCESSABLE_ENTITY", "input_schema: expected an object")
    flow = Definition(
        Document("definition", dict(definition)), Document("input_schema", dict(schema)) if schema is not None else None
    )
    errors = [finding for finding in check(flow) if finding.level == ERROR]
    if not errors:
        return
    details = [
        {"loc": [error.file, error.path.removeprefix("$")], "type": "value_error", "msg": error.message}
        for error in errors
    ]
    first = errors[0]
    text = f"{len(errors)} validation error in body. $.{first.file}{first.path.removeprefix('$')}: {first.message}"
    raise FlowsError(422, "UNPROCESSABLE_ENTITY", details, text)


def refuse_input(schema: Mapping[str, Any], value: Any) -> None:
    """Refuse an input that does not follow its schema.

    Raises:
        FlowsError: 400; its details name the places.
    """
    definition = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}
    flow = Definition(
        Document("definition", definition), Document("input_schema", dict(schema)), Document("input", value)
    )
    errors = [finding for finding in check(flow) if finding.level == ERROR and finding.file == "input"]
    if not errors:
        return
    details = [{"loc": [error.path], "type": "InvalidActionInput", "msg": error.message} for error in errors]
    plural = "" if len(errors) == 1 else "s"
    text = f"Input failed schema validation with {len(errors)} error{plural}."
    raise FlowsError(400, "FLOW_INPUT_ERROR", details, text)


def scopes_of(definition: Mapping[str, Any]) -> list[str]:
    """Return the scopes that the actions of a definition need."""
    scopes: list[str] = []
    for state in definition.get("States", {}).values():
        provider = provider_of(state.get("ActionUrl")) if isinstance(state, Mapping) else None
        if provider is None:
            continue
        scope = COMPUTE_SCOPE if provider.compute else TRANSFER_SCOPE
        if scope not in scopes and (provider.compute or "transfer" in str(state["ActionUrl"])):
            scopes.append(scope)
    return scopes


def traversals(definition: Mapping[str, Any]) -> int:
    """Return the number of ways through a definition, each state at most once; errors that are caught are no way."""
    flow = Definition(Document("definition", dict(definition)))
    ways, waiting = 0, [] if flow.start is None else [(flow.start, frozenset((flow.start,)))]
    while waiting and ways < _MOST_WAYS:
        name, passed = waiting.pop()
        followers = {transition.target for transition in flow.transitions(name) if not transition.caught}
        ways += flow.ends(name) or not followers - passed
        waiting += [(target, passed | {target}) for target in sorted(followers - passed)]
    return ways
