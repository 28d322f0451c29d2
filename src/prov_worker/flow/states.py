"""The states of a flow, as far as they are well formed: what a check needs beyond that, it asks itself.

Source: https://docs.globus.org/api/flows/authoring-flows/, and the States Language that it starts from
(https://states-language.net/spec.html).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from prov_worker.flow import paths
from prov_worker.flow.schema_problems import problems_of
from prov_worker.flow.source import Document, Steps

TYPES = ("Action", "Choice", "ExpressionEval", "Fail", "Pass", "Wait")
#: What leads on without a word of its own in the state: an error that is caught.
CATCH = "Catch"


class Transition(NamedTuple):
    """A way from a state to another.

    Attributes:
        target: name of the state that it leads to; it may not be there.
        steps: to the name, from the state.
        rule: of a Choice, the rule that must hold; else None.
        result: of a Catch, where the error is put; ``()`` for all of the state, None for nowhere.
    """

    target: str
    steps: Steps
    rule: Mapping[str, Any] | None = None
    result: Steps | None = None

    @property
    def caught(self) -> bool:
        """Whether it is taken by an error."""
        return self.steps[0] == CATCH


@dataclass(frozen=True)
class Flow:
    """A flow that was loaded.

    Attributes:
        definition: the document with ``StartAt`` and ``States``.
        schema: of the input; None if there is none.
        input: of a run; None if there is none.
        walltime_s: of the batch jobs in which tasks run, if it is known from elsewhere.
    """

    definition: Document
    schema: Document | None = None
    input: Document | None = None
    walltime_s: float | None = None

    @cached_property
    def states(self) -> dict[str, Mapping[str, Any]]:
        """The states that are objects, by name, in the order of the file."""
        states = self.definition.value.get("States")
        entries = states.items() if isinstance(states, Mapping) else ()
        return {name: state for name, state in entries if isinstance(state, Mapping)}

    @cached_property
    def schema_problems(self) -> list[tuple[Steps, str]]:
        """Why the input schema is none (JSON Schema, draft 2020-12): places and messages; empty if it is one."""
        return [] if self.schema is None else problems_of(self.schema.value)

    @property
    def start(self) -> str | None:
        """Name of the first state; None if there is no such state."""
        start = self.definition.value.get("StartAt")
        return start if isinstance(start, str) and start in self.states else None

    @cached_property
    def reachable(self) -> dict[str, str | None]:
        """The states that can be reached, each with the one before it on a shortest way; None for the first."""
        before: dict[str, str | None] = {} if self.start is None else {self.start: None}
        waiting = list(before)
        for name in waiting:
            for transition in self.transitions(name):
                if transition.target in self.states and transition.target not in before:
                    before[transition.target] = name
                    waiting.append(transition.target)
        return before

    def transitions(self, name: str) -> list[Transition]:
        """Return the ways out of a state."""
        return list(_transitions(self.states[name]))

    def ends(self, name: str) -> bool:
        """Return whether a state ends the flow."""
        state = self.states[name]
        return state.get("Type") == "Fail" or state.get("End") is True


def _transitions(state: Mapping[str, Any]) -> Iterator[Transition]:
    kind = state.get("Type")
    if kind == "Choice":
        for number, rule in enumerate(mappings(state.get("Choices"))):
            if isinstance(rule.get("Next"), str):
                yield Transition(rule["Next"], ("Choices", number, "Next"), rule)
        if isinstance(state.get("Default"), str):
            yield Transition(state["Default"], ("Default",))
    elif kind != "Fail":
        if isinstance(state.get("Next"), str):
            yield Transition(state["Next"], ("Next",))
        for number, catcher in enumerate(mappings(state.get("Catch"))):
            if isinstance(catcher.get("Next"), str):
                yield Transition(catcher["Next"], ("Catch", number, "Next"), None, result_steps(catcher))


def result_steps(holder: Mapping[str, Any]) -> Steps | None:
    """Return where a state or a Catch puts its result: ``()`` for all of the state, None for nowhere or no path."""
    if "ResultPath" not in holder:
        return ()
    path = holder["ResultPath"]
    return paths.parse_reference(path) if isinstance(path, str) else None


def mappings(value: Any) -> list[Mapping[str, Any]]:
    """Return a list whose members that are not objects are empty ones, so that their numbers stay; empty if no list."""
    return [member if isinstance(member, Mapping) else {} for member in value] if isinstance(value, list) else []


def rules(rule: Any, steps: Steps) -> Iterator[tuple[Mapping[str, Any], Steps]]:
    """Yield the tests in a rule of a Choice, those within And, Or and Not too, with the steps to each."""
    if not isinstance(rule, Mapping):
        return
    for key in ("And", "Or"):
        for number, inner in enumerate(rule[key] if isinstance(rule.get(key), list) else ()):
            yield from rules(inner, (*steps, key, number))
    if "Not" in rule:
        yield from rules(rule["Not"], (*steps, "Not"))
    if "Variable" in rule:
        yield rule, steps
