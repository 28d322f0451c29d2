"""The planned workflow: functions, steps, parameters and their connections.

Small whatever the number of tasks: it grows with the number of functions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from prov_worker.crate.graph import Entity
from prov_worker.crate.json_text import one_line, safe_name
from prov_worker.crate.summary import RunStep, StepValue
from prov_worker.run.assembly.vocabulary import BIOSCHEMAS_PARAMETER
from prov_worker.run.assembly.workflow import Workflow

#: Parameters for files: by reference, and in the crates themselves.
FILES, STORED = "files", "stored-files"
_FILE_TYPES = {FILES: "PropertyValue", STORED: "File"}
_TYPES = {"int": "Integer", "float": "Float", "bool": "Boolean"}


@dataclass(slots=True)
class Parameter:
    """A formal parameter of a function: its name and the types that were seen."""

    name: str
    types: set[str] = field(default_factory=set)
    many: bool = False

    @property
    def type(self) -> str:
        """One of the types that Workflow Run Crate 0.5 knows."""
        return next(iter(self.types)) if len(self.types) == 1 else "Text"


@dataclass(slots=True)
class PlannedFunction:
    """A function that ran.

    Attributes:
        id: absolute id.
        name, description, version: as the crates say.
        label: unique in the run, for use in ids.
        inputs, outputs: parameters by key.
    """

    id: str
    name: str
    description: str
    version: str
    label: str = ""
    inputs: dict[str, Parameter] = field(default_factory=dict)
    outputs: dict[str, Parameter] = field(default_factory=dict)


@dataclass(slots=True)
class Stage:
    """A step of the workflow: one function, or what a definition calls a step."""

    name: str
    functions: dict[str, None] = field(default_factory=dict)
    first_ns: int | None = None
    tasks: int = 0
    position: int = 0
    declared: bool = False


def parameter_key(identifier: str) -> str:
    """Return the key of the parameter that an entity stands for: ``n`` of ``#input-n``; one for all files."""
    if identifier.startswith(("#output-file-", "#input-file-")):
        return FILES
    if not identifier.startswith("#"):
        return STORED
    return identifier.removeprefix("#input-").removeprefix("#output-")


class WorkflowPlan:
    """Collects what the steps tell of functions and order.

    Attributes:
        idle: once settled, names of defined steps to which no task belongs.

    Args:
        file: name of the workflow's file, the beginning of all ids.
        workflow: definition, if there is one.
    """

    def __init__(self, file: str, workflow: Workflow | None) -> None:
        self.file = file
        self._workflow = workflow
        self.functions: dict[str, PlannedFunction] = {}
        self.stages: dict[str, Stage] = {}
        self.connections: dict[tuple[str, str], str] = {}
        self.idle: list[str] = []
        if workflow is not None:
            for step in workflow.steps:
                self.stages[step.name] = Stage(step.name, declared=True)

    def observe(self, step: RunStep, function: Entity) -> None:
        """Take what one step tells."""
        planned = self.functions.get(step.function_id)
        if planned is None:
            planned = self.functions[step.function_id] = PlannedFunction(
                step.function_id,
                step.function,
                str(function.get("description", "")),
                str(function.get("version", "unknown")),
            )
        for values, parameters in ((step.arguments, planned.inputs), (step.results, planned.outputs)):
            for value in values:
                _add(parameters, value)
        for file in step.files:
            parameters = planned.outputs if file.role == "generated" else planned.inputs
            key = parameter_key(file.id)
            if key not in parameters:
                parameters[key] = files_parameter(key)
        stage = self.stages.setdefault(name := self.stage_name(step), Stage(name))
        stage.functions[step.function_id] = None
        stage.tasks += step.latest
        stage.first_ns = step.began_ns if stage.first_ns is None else min(stage.first_ns, step.began_ns)

    def stage_name(self, step: RunStep) -> str:
        """Return the name of the stage that a step belongs to."""
        named = None
        if self._workflow is not None:
            named = self._workflow.step_of(step.task_id, step.function, step.function_id)
        return named if named is not None else step.function_id

    def assign_labels(self) -> None:
        """Give labels and positions, once all steps are in."""
        # Not in the order of arrival, which depends on the order of directories.
        self.functions = {key: self.functions[key] for key in sorted(self.functions)}
        for planned in self.functions.values():
            planned.inputs, planned.outputs = (
                dict(sorted(planned.inputs.items())),
                dict(sorted(planned.outputs.items())),
            )
        taken: set[str] = set()
        for planned in self.functions.values():
            label, number = safe_name(planned.name), 2
            while label in taken or label == "main":
                label = f"{safe_name(planned.name)}-{number}"
                number += 1
            taken.add(label)
            planned.label = label
        self.idle = [key for key, stage in self.stages.items() if not stage.functions]
        for key in self.idle:
            del self.stages[key]  # defined, and nothing of it ran
        declared = [stage for stage in self.stages.values() if stage.declared]
        undeclared = sorted(
            (stage for stage in self.stages.values() if not stage.declared),
            key=lambda stage: (stage.first_ns or 0, stage.name),
        )
        for position, stage in enumerate([*declared, *undeclared]):
            stage.functions = dict(sorted(stage.functions.items()))
            stage.position = position
            if not stage.declared:
                # Named after its function; the key was the function's id, which two functions of one name do not share.
                stage.name = self.functions[next(iter(stage.functions))].name

    def stage_id(self, key: str) -> str:
        """Return id of a stage's HowToStep."""
        stage = self.stages[key]
        return f"{self.file}#main/{stage.position}-{safe_name(stage.name)}"

    def parameter_id(self, function_id: str, role: str, key: str) -> str:
        """Return id of a parameter; ``role`` is ``input`` or ``output``."""
        return f"{self.file}#{self.functions[function_id].label}/{role}-{key}"

    def connect(self, source: str, target: str) -> None:
        """Note that what one parameter gave, another one took."""
        if (source, target) not in self.connections:
            self.connections[source, target] = f"#connection-{_short(source)}-to-{_short(target)}"

    def parameters(self) -> list[dict[str, Any]]:
        """Return FormalParameters of all functions."""
        entities = []
        for planned in self.functions.values():
            for role, parameters in (("input", planned.inputs), ("output", planned.outputs)):
                for key, parameter in parameters.items():
                    entities.append(
                        formal_parameter(
                            self.parameter_id(planned.id, role, key), parameter, f"{role} of {planned.name}"
                        )
                    )
        return entities


def files_parameter(key: str) -> Parameter:
    """Return the parameter that stands for all files of one kind."""
    return Parameter(key.replace("-", " "), {_FILE_TYPES[key]}, many=True)


def formal_parameter(identifier: str, parameter: Parameter, description: str) -> dict[str, Any]:
    """Return a FormalParameter of Workflow Run Crate 0.5."""
    entity: dict[str, Any] = {
        "@id": identifier,
        "@type": "FormalParameter",
        "name": one_line(parameter.name),
        "description": f"{one_line(parameter.name)}, {one_line(description)}",
        "additionalType": parameter.type,
        "conformsTo": {"@id": BIOSCHEMAS_PARAMETER},
    }
    if parameter.many:
        entity["multipleValues"] = True
    return entity


def _add(parameters: dict[str, Parameter], value: StepValue) -> None:
    parameter = parameters.setdefault(parameter_key(value.id), Parameter(value.name))
    # A value that was not recorded stands there as text, whatever its type.
    parameter.types.add(_TYPES.get(value.type or "", "Text") if value.recorded else "Text")


def _short(identifier: str) -> str:
    return identifier.partition("#")[2].replace("/", "-")
