"""One state of a run at a time: what it does, what it leaves in the run's state, and where it leads to.

Source: https://docs.globus.org/api/flows/authoring-flows/, and the States Language
(https://states-language.net/spec.html). Nothing here waits, or acts on anything outside: an action and a wait are
handed to the caller, who comes back with how they ended.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from prov_worker.flow import paths
from prov_worker.flow.machine import failures, places
from prov_worker.flow.machine.choices import holds, moment
from prov_worker.flow.machine.failures import EvaluationError, StateError
from prov_worker.flow.machine.parameters import filled, shown

#: What a run's state may have (https://docs.globus.org/api/flows/limits/).
STATE_LIMIT_BYTES = 200_000
#: An action that does not say how long it may take.
DEFAULT_WAIT_S = 300
CONTEXT = "_context"
_CAUSE_CHARACTERS = 4000


class Entry(NamedTuple):
    """A line of a run's log.

    Attributes:
        code: such as ``ActionStarted``.
        description: for a person.
        details: of it.
    """

    code: str
    description: str
    details: dict[str, Any]


class Call(NamedTuple):
    """An action that must be started.

    Attributes:
        url: of its provider.
        body: its parameters.
        wait_s: how long it may take, in seconds.
    """

    url: str
    body: dict[str, Any]
    wait_s: float


@dataclass(frozen=True)
class Step:
    """What became of a state.

    Attributes:
        state: of the run, afterwards.
        entries: for the log.
        follows: name of the state that follows; None if none does, or not yet.
        ended: ``SUCCEEDED`` or ``FAILED`` if the run ends here.
        until: seconds since the epoch until which the run waits; None if it does not.
        call: the action to start; None if there is none.
    """

    state: dict[str, Any]
    entries: list[Entry] = field(default_factory=list)
    follows: str | None = None
    ended: str = ""
    until: float | None = None
    call: Call | None = None


class Machine:
    """A definition that is run.

    Args:
        definition: with ``StartAt`` and ``States``, that :func:`prov_worker.flow.check` found no error in.
        context: what ``$._context`` has: of the run and who runs it.
    """

    def __init__(self, definition: Mapping[str, Any], context: Mapping[str, Any]) -> None:
        self._definition = definition
        self._context = dict(context)

    @property
    def start(self) -> str:
        """Name of the first state."""
        return str(self._definition["StartAt"])

    def enter(self, name: str, state: Mapping[str, Any], now: float) -> Step:
        """Begin a state; ``now`` is in seconds since the epoch."""
        rule = self._rule(name)
        kind = rule["Type"]
        readable = {**state, CONTEXT: self._context}
        try:
            if kind == "Action":
                return self._begin_action(name, rule, state, readable)
            if kind == "Wait":
                until = _until(rule, readable, now)
                return Step(dict(state), [_entry(name, rule, "started", {})], until=until)
            if kind == "Choice":
                return self._choose(name, rule, state, readable)
            if kind == "Fail":
                return _fail(name, rule, state, readable)
            return self._made(name, rule, state, readable)
        except EvaluationError as error:
            unable = failures.UNABLE if kind == "Action" else failures.PARAMETERS
            return self.failed(name, state, StateError(unable, str(error)))

    def waited(self, name: str, state: Mapping[str, Any]) -> Step:
        """Go on from a Wait that is over."""
        return self._lead_on(name, dict(state), {})

    def acted(self, name: str, state: Mapping[str, Any], status: Mapping[str, Any]) -> Step:
        """Go on from an action that ended, with the status document of its provider."""
        rule = self._rule(name)
        if status.get("status") == "FAILED" and rule.get("ExceptionOnActionFailure", True):
            return self.failed(name, state, StateError(failures.FAILED, _short(status)), output=status)
        return self._lead_on(name, dict(state), status)

    def aborted(self, state: Mapping[str, Any], error: StateError) -> Step:
        """End a run badly, whatever its states would catch."""
        return self._end_badly(dict(state), [], error)

    def failed(
        self, name: str, state: Mapping[str, Any], error: StateError, *, output: Mapping[str, Any] | None = None
    ) -> Step:
        """Go on from a state that failed: to what its Catch names, or to the end of the run."""
        rule = self._rule(name)
        details = {"state_name": name, "state_type": rule["Type"], "error": error.name, "cause": error.cause}
        if output is not None:
            details["output"] = dict(output)
        entry = Entry(f"{rule['Type']}Failed", f"State {name} of type {rule['Type']} failed: {error.name}", details)
        catch = rule.get("Catch")
        for catcher in catch if isinstance(catch, list) else ():
            if {error.name, failures.ALL} & set(catcher["ErrorEquals"]):
                value = {"Error": error.name, "Cause": error.cause}
                try:
                    return self._step(_put(catcher, state, value), [entry], catcher["Next"], rule)
                except EvaluationError as problem:
                    error = StateError(failures.RESULT, str(problem))
                    break
        return self._end_badly(dict(state), [entry], error)

    def _rule(self, name: str) -> Mapping[str, Any]:
        rule: Mapping[str, Any] = self._definition["States"][name]
        return rule

    def _begin_action(self, name: str, rule: Mapping[str, Any], state: Mapping[str, Any], readable: Any) -> Step:
        template = rule.get("Parameters")
        body = filled(template, readable) if template is not None else places.read(readable, rule["InputPath"])
        if not isinstance(body, Mapping):
            raise EvaluationError(f"{rule.get('InputPath')}: the input of an action is an object")
        url = rule.get("ActionUrl")
        if not isinstance(url, str):
            raise EvaluationError("an action without ActionUrl is not run here")
        entry = _entry(name, rule, "started", {"input": shown(template, body)})
        call = Call(url, dict(body), float(rule.get("WaitTime", DEFAULT_WAIT_S)))
        return Step(dict(state), [entry], call=call)

    def _choose(self, name: str, rule: Mapping[str, Any], state: Mapping[str, Any], readable: Any) -> Step:
        started = _entry(name, rule, "started", {})
        follows = next((choice["Next"] for choice in rule["Choices"] if holds(choice, readable)), rule.get("Default"))
        if follows is None:
            cause = "no rule holds, and there is no Default"
            return self.failed(name, state, StateError(failures.NO_CHOICE, cause))
        completed = _entry(name, rule, "completed", {"next": follows})
        return self._step(dict(state), [started, completed], follows, rule)

    def _made(self, name: str, rule: Mapping[str, Any], state: Mapping[str, Any], readable: Any) -> Step:
        """Run a Pass or an ExpressionEval."""
        started = _entry(name, rule, "started", {})
        if "Parameters" in rule:
            value = filled(rule["Parameters"], readable)
        elif "Result" in rule:
            value = rule["Result"]
        elif "InputPath" in rule:
            value = places.read(readable, rule["InputPath"])
        else:
            return self._lead_on(name, dict(state), None, [started])
        return self._lead_on(name, dict(state), value, [started])

    def _lead_on(self, name: str, state: dict[str, Any], value: Any, entries: list[Entry] | None = None) -> Step:
        """End a state well."""
        rule = self._rule(name)
        entries = list(entries or ())
        if value is not None and rule["Type"] != "Wait":
            try:
                state = _put(rule, state, value)
            except EvaluationError as error:
                return self.failed(name, state, StateError(failures.RESULT, str(error)))
        output = {} if value is None or rule["Type"] == "Wait" else {"output": value}
        entries.append(_entry(name, rule, "completed", output))
        return self._step(state, entries, rule.get("Next"), rule)

    def _step(self, state: dict[str, Any], entries: list[Entry], follows: str | None, rule: Mapping[str, Any]) -> Step:
        size = len(json.dumps(state, ensure_ascii=False).encode("utf-8", "replace"))
        if size > STATE_LIMIT_BYTES:
            cause = f"the state of the run has {size} bytes; at most {STATE_LIMIT_BYTES} are taken"
            return self._end_badly(state, entries, StateError("StateTooLarge", cause))
        if follows is None and rule.get("End") is not True:
            cause = "the state has neither Next nor End"
            return self._end_badly(state, entries, StateError("States.Runtime", cause))
        if follows is not None:
            return Step(state, entries, follows)
        entry = Entry("FlowSucceeded", "The Flow Instance completed successfully", {"output": state})
        return Step(state, [*entries, entry], ended="SUCCEEDED")

    @staticmethod
    def _end_badly(state: dict[str, Any], entries: list[Entry], error: StateError) -> Step:
        details = {"error": error.name, "cause": error.cause}
        entry = Entry("FlowFailed", f"The Flow Instance failed: {error.name}", details)
        return Step(state, [*entries, entry], ended="FAILED")


def _entry(name: str, rule: Mapping[str, Any], event: str, more: Mapping[str, Any]) -> Entry:
    """Return what the log says of a state that has ``started`` or ``completed``."""
    kind = rule["Type"]
    return Entry(
        f"{kind}{event.capitalize()}",
        f"State {name} of type {kind} {event}",
        {"state_name": name, "state_type": kind, **more},
    )


def _put(holder: Mapping[str, Any], state: Mapping[str, Any], value: Any) -> dict[str, Any]:
    """Return the state with a result at the ResultPath of a state or a Catch."""
    path = holder.get("ResultPath", "$")
    if path is None:
        return dict(state)
    steps = paths.parse_reference(path)
    if steps is None or steps[:1] == (CONTEXT,):
        raise EvaluationError(f"{path}: nothing can be written there")
    return places.written(state, steps, value)


def _fail(name: str, rule: Mapping[str, Any], state: Mapping[str, Any], readable: Any) -> Step:
    error = {
        key: places.read(readable, rule[f"{key}Path"]) if f"{key}Path" in rule else rule.get(key, "")
        for key in ("Error", "Cause")
    }
    details = {"error": error["Error"], "cause": error["Cause"]}
    ended = Entry("FlowFailed", f"The Flow Instance failed: {error['Error']}", details)
    return Step(
        dict(state),
        [_entry(name, rule, "started", {}), _entry(name, rule, "completed", details), ended],
        ended="FAILED",
    )


def _until(rule: Mapping[str, Any], readable: Mapping[str, Any], now: float) -> float:
    if "Timestamp" in rule or "TimestampPath" in rule:
        text = rule["Timestamp"] if "Timestamp" in rule else places.read(readable, rule["TimestampPath"])
        return moment(text).timestamp()
    seconds = rule["Seconds"] if "Seconds" in rule else places.read(readable, rule["SecondsPath"])
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < math.inf:
        raise EvaluationError(f"{seconds!r} is not a number of seconds")
    return now + seconds


def _short(status: Mapping[str, Any]) -> str:
    """Return what a caught failure tells of an action: its status document as a text."""
    return json.dumps(status, ensure_ascii=False)[:_CAUSE_CHARACTERS]
