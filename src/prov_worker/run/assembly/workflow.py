"""The order of tasks as somebody has stated it: a workflow definition in YAML or JSON.

Two forms are read. A Globus Flow definition (``StartAt``, ``States``; alone or under ``definition``, as
``globus flows show`` gives it): each state that calls Globus Compute is a step under its own name, in the order of
``Next`` (https://docs.globus.org/api/flows/authoring-flows/,
https://globus-compute.readthedocs.io/en/latest/actionprovider.html). Its functions are known if their ids stand in it,
or if it takes them from an input that is named after them, as Gladier does: ``add`` of
``"function_id.$": "$.input.add_function_id"``. And a plain one::

    name: Rainfall
    steps:
      - name: fetch
        function: fetch_part          # name or id of the function
      - name: fit
        function: fit_model
        after: [fetch]
    tasks:                            # if the order of single tasks is known
      6f1c…: {step: fit, after: [0b1b…, 5d0c…]}
    groups:                           # task groups, by name or id
      monday: [6f1c…, 0b1b…]
"""

from __future__ import annotations

import graphlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prov_worker import yamlfile
from prov_worker.crate import vocabulary as v
from prov_worker.crate.graph import parse_json
from prov_worker.errors import InputError
from prov_worker.run.assembly.flow_record import DEFINITION_FILE, read_record

FLOWS = "https://flows.globus.org/"
FLOW_LANGUAGE = "https://docs.globus.org/api/flows/authoring-flows/"
PLAIN_LANGUAGE = v.NAMESPACE + "workflow-definition"
_MAX_BYTES = 64 << 20
#: Versions 2 and 3, and where version 2 was before.
_COMPUTE_URL = re.compile(
    r"https?://(?:compute\.actions\.(?:[a-z0-9-]+\.)*globus\.org|(?:automate|dev)\.funcx\.org)(?:[/:?#]|\Z)"
)
#: ``function_id`` (version 3) and ``function`` (version 2): as it is, as a path into the state, as an expression.
_FUNCTION_KEY = re.compile(r"function(?:_id)?(?:\.[$=])?\Z")
#: An input that is called after its function: ``add_function_id``, and ``add_funcx_id`` in Gladier before 0.9.
_INPUT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*?)_(?:function|funcx)_id['\"\]]*\Z")


@dataclass(slots=True)
class WorkflowStep:
    """One step of a workflow.

    Attributes:
        name: its name.
        functions: names or ids of the functions that it runs.
        after: names of the steps before it.
    """

    name: str
    functions: tuple[str, ...]
    after: tuple[str, ...] = ()


@dataclass(slots=True)
class Workflow:
    """A workflow definition.

    Attributes:
        name: None if it has none.
        language: ``flow`` or ``plain``.
        steps: in their order.
        after: task id to the ids of the tasks before it.
        task_step: task id to the name of its step.
        groups: task group to the ids of its tasks.
        text: the definition as it was read.
        suffix: of its file, ``.json`` or ``.yaml``.
        record: files of the record of a run of a Globus Flow, by their names in a run crate.
    """

    name: str | None
    language: str
    steps: list[WorkflowStep]
    after: dict[str, tuple[str, ...]] = field(default_factory=dict)
    task_step: dict[str, str] = field(default_factory=dict)
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    text: bytes = b""
    suffix: str = ".json"
    record: dict[str, bytes] = field(default_factory=dict)

    def step_of(self, task_id: str, function: str, function_id: str) -> str | None:
        """Return the name of the step that a task belongs to; None if the definition does not say."""
        named = self.task_step.get(task_id)
        if named is not None:
            return named
        for step in self.steps:
            for name in step.functions:
                if name == function or (name and (function_id == name or function_id.endswith("/" + name))):
                    return step.name
        return None


def read_workflow(path: Path) -> Workflow:
    """Read a definition, or the record of a run of a Globus Flow: a directory that ``flow record`` wrote.

    Raises:
        InputError: names the file, and the key if there is one.
    """
    if path.is_dir():
        workflow = read_workflow(path / DEFINITION_FILE)
        workflow.record, tasks = read_record(path)
        steps = {step.name for step in workflow.steps}
        workflow.task_step |= {task: state for task, state in tasks.items() if state in steps}
        return workflow
    try:
        with path.open("rb") as stream:
            text = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    if len(text) > _MAX_BYTES:
        raise InputError(f"{path}: larger than {_MAX_BYTES} bytes")
    data = _parse(path, text)
    if not isinstance(data, Mapping):
        raise InputError(f"{path}: expected a mapping")
    inner = data.get("definition")
    if "States" not in data and isinstance(inner, Mapping) and "States" in inner:
        workflow = _flow(path, inner)
    else:
        workflow = _flow(path, data) if "States" in data else _plain(path, data)
    workflow.text = text
    workflow.suffix = ".json" if path.suffix.lower() == ".json" else ".yaml"
    return workflow


def _parse(path: Path, text: bytes) -> Any:
    if path.suffix.lower() == ".json":
        try:
            return parse_json(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}: invalid JSON: {error}") from None
    try:
        return yamlfile.parse(text, str(path))
    except ImportError as error:
        raise InputError(f"{path}: YAML needs PyYAML, which is not here ({error}); write it as .json") from error


def _strings(path: Path, key: str, value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    members = [value] if isinstance(value, str) else value
    if not isinstance(members, list) or not all(isinstance(member, str) and member for member in members):
        raise InputError(f"{path}: {key}: expected a text or a list of texts")
    return tuple(dict.fromkeys(members))


def _plain(path: Path, data: Mapping[str, Any]) -> Workflow:
    keys = ("name", "steps", "tasks", "groups")
    for key in data:
        if key not in keys:
            raise InputError(f"{path}: {key}: unknown key; known are {', '.join(keys)}")
    steps: dict[str, WorkflowStep] = {}
    for number, entry in enumerate(_list(path, "steps", data.get("steps"))):
        where = f"steps[{number}]"
        if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str) or not entry["name"]:
            raise InputError(f"{path}: {where}.name: expected a text")
        if entry["name"] in steps:
            raise InputError(f"{path}: {where}.name: {entry['name']!r} is there twice")
        functions = _strings(path, f"{where}.function", entry.get("function", entry.get("functions")))
        after = _strings(path, f"{where}.after", entry.get("after"))
        steps[entry["name"]] = WorkflowStep(entry["name"], functions or (entry["name"],), after)
    for step in steps.values():
        for before in step.after:
            if before not in steps:
                raise InputError(f"{path}: steps.{step.name}.after: no step {before!r}")
    _no_circle(path, "steps", {step.name: step.after for step in steps.values()})
    workflow = Workflow(data["name"] if isinstance(data.get("name"), str) else None, "plain", list(steps.values()))
    for task, facts in _mapping(path, "tasks", data.get("tasks")).items():
        if not isinstance(facts, Mapping):
            raise InputError(f"{path}: tasks.{task}: expected a mapping")
        if "after" in facts:
            workflow.after[str(task)] = _strings(path, f"tasks.{task}.after", facts["after"])
        if "step" in facts:
            if facts["step"] not in steps:
                raise InputError(f"{path}: tasks.{task}.step: no step {facts['step']!r}")
            workflow.task_step[str(task)] = facts["step"]
    _no_circle(path, "tasks", workflow.after)
    for group, tasks in _mapping(path, "groups", data.get("groups")).items():
        workflow.groups[str(group)] = _strings(path, f"groups.{group}", tasks)
    return workflow


def _no_circle(path: Path, key: str, after: Mapping[str, tuple[str, ...]]) -> None:
    try:
        graphlib.TopologicalSorter(after).prepare()
    except graphlib.CycleError as error:
        raise InputError(f"{path}: {key}: after one another in a circle: {', '.join(error.args[1][1:])}") from None


def _list(path: Path, key: str, value: Any) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise InputError(f"{path}: {key}: expected a list")
    return value


def _mapping(path: Path, key: str, value: Any) -> Mapping[Any, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InputError(f"{path}: {key}: expected a mapping")
    return value


def _flow(path: Path, data: Mapping[str, Any]) -> Workflow:
    """Return a Globus Flow definition: states in the order in which they can be reached."""
    states = _mapping(path, "States", data["States"])
    start = data.get("StartAt")
    if not isinstance(start, str) or start not in states:
        raise InputError(f"{path}: StartAt: no state {start!r}")
    steps: dict[str, WorkflowStep] = {}
    # Pairs of a state and the last compute state on the way to it; a state may be reached in several ways.
    waiting: list[tuple[str, str | None]] = [(start, None)]
    seen: set[tuple[str, str | None]] = set()
    while waiting:
        name, before = waiting.pop(0)
        if (name, before) in seen:
            continue
        seen.add((name, before))
        state = states[name]
        if not isinstance(state, Mapping):
            raise InputError(f"{path}: States.{name}: expected a mapping")
        if _is_compute(state):
            step = steps.setdefault(name, WorkflowStep(name, _functions(state.get("Parameters"))))
            if before is not None and before not in step.after and before != name:
                step.after = (*step.after, before)
            before = name
        for key, target in _next(state):
            if target not in states:
                raise InputError(f"{path}: States.{name}.{key}: no state {target!r}")
            waiting.append((target, before))
    comment = data.get("Comment")
    return Workflow(comment if isinstance(comment, str) else None, "flow", list(steps.values()))


def _next(state: Mapping[str, Any]) -> list[tuple[str, str]]:
    transitions = [(key, state[key]) for key in ("Next", "Default") if isinstance(state.get(key), str)]
    for key in ("Choices", "Catch"):
        members = state.get(key)
        for member in members if isinstance(members, list) else ():
            if isinstance(member, Mapping) and isinstance(member.get("Next"), str):
                transitions.append((f"{key}.Next", member["Next"]))
    return transitions


def _is_compute(state: Mapping[str, Any]) -> bool:
    """Return whether a state calls Globus Compute: by its provider, old names included, or by its function."""
    url = state.get("ActionUrl")
    return (isinstance(url, str) and _COMPUTE_URL.match(url) is not None) or bool(_stated(state.get("Parameters")))


def _stated(parameters: Any) -> list[tuple[str, str]]:
    """Return pairs of key and value that name a function: of the state (version 2) and of each of its tasks (both)."""
    tasks = parameters.get("tasks") if isinstance(parameters, Mapping) else None
    stated = []
    for task in [parameters, *(tasks if isinstance(tasks, list) else ())]:
        for key, value in task.items() if isinstance(task, Mapping) else ():
            if isinstance(value, str) and _FUNCTION_KEY.match(str(key)):
                stated.append((str(key), value))
    return stated


def _functions(parameters: Any) -> tuple[str, ...]:
    """Return the function ids of a compute state, or the names of the inputs that give them; or nothing."""
    names: list[str] = []
    for key, value in _stated(parameters):
        if not key.endswith((".$", ".=")) and not value.startswith("$."):
            names.append(value)
        elif (match := _INPUT.search(value)) is not None:
            names.append(match[1])
    return tuple(dict.fromkeys(names))
