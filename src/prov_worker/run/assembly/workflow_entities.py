"""Entities of the workflow of a run crate: its file, functions, steps, parameters and how these are connected."""

from __future__ import annotations

from typing import Any, TypeAlias

from prov_worker.crate import vocabulary as v
from prov_worker.crate.json_text import one_line
from prov_worker.run.assembly import vocabulary as rv
from prov_worker.run.assembly.entity_stream import EntityStream, refer
from prov_worker.run.assembly.plan import FILES, WorkflowPlan, files_parameter, formal_parameter
from prov_worker.run.assembly.workflow import FLOW_LANGUAGE, FLOWS, PLAIN_LANGUAGE, Workflow

#: A file at the top of a run crate: name, description, media type, size and sha256; None for both if they are not known
#: when the metadata are written.
File: TypeAlias = tuple[str, str, str, int | None, str | None]


class WorkflowEntities:
    """Writes the workflow.

    Args:
        out: the document.
        plan: what was meant to run, settled.
        workflow: its definition, if one was given.
    """

    def __init__(self, out: EntityStream, plan: WorkflowPlan, workflow: Workflow | None) -> None:
        self._out = out
        self._plan = plan
        self._workflow = workflow

    def write(self, name: str, file: File) -> None:
        """Write them.

        Args:
            name: of the run.
            file: of the workflow.
        """
        plan = self._plan
        flow = self._workflow is not None and self._workflow.language == "flow"
        language = FLOW_LANGUAGE if flow else PLAIN_LANGUAGE
        language_name = "Globus Flow definition" if flow else "prov-worker workflow definition"
        entity: dict[str, Any] = {
            "@id": plan.file,
            "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
            "name": one_line((self._workflow.name if self._workflow is not None else None) or name),
            "description": file[1],
            "encodingFormat": file[2],
            "contentSize": str(file[3]),
            "sha256": file[4],
            "url": FLOWS if flow else PLAIN_LANGUAGE,
            "version": "1",
            "conformsTo": {"@id": rv.BIOSCHEMAS_WORKFLOW},
            "programmingLanguage": {"@id": language},
        }
        refer(entity, "hasPart", list(plan.functions))
        stages = sorted(plan.stages, key=lambda key: plan.stages[key].position)
        refer(entity, "step", [plan.stage_id(key) for key in stages])
        outer = f"{plan.file}#main/"
        for role in ("input", "output"):
            if any(f"{outer}{role}-{FILES}" in pair for pair in plan.connections):
                entity[role] = {"@id": f"{outer}{role}-{FILES}"}
        refer(entity, "connection", [c for (_, target), c in plan.connections.items() if target.startswith(outer)])
        self._out.put(entity)
        for role in ("input", "output"):
            if role in entity:
                description = f"{'used' if role == 'input' else 'generated'} by the run"
                self._out.put(formal_parameter(f"{outer}{role}-{FILES}", files_parameter(FILES), description))
        web = language if flow else v.NAMESPACE
        self._out.put({"@id": language, "@type": "ComputerLanguage", "name": language_name, "url": {"@id": web}})
        self._functions()
        for key in stages:
            stage = plan.stages[key]
            step: dict[str, Any] = {
                "@id": plan.stage_id(key),
                "@type": "HowToStep",
                "name": one_line(stage.name),
                "position": str(stage.position),
            }
            refer(step, "workExample", list(stage.functions))
            inputs = tuple(f"{plan.file}#{plan.functions[function].label}/input-" for function in stage.functions)
            refer(step, "connection", [c for (_, t), c in plan.connections.items() if inputs and t.startswith(inputs)])
            self._out.put(step)
        for parameter in plan.parameters():
            self._out.put(parameter)
        for (source, target), identifier in plan.connections.items():
            self._out.put(
                {
                    "@id": identifier,
                    "@type": "ParameterConnection",
                    "name": f"{source} to {target}",
                    "sourceParameter": {"@id": source},
                    "targetParameter": {"@id": target},
                }
            )

    def _functions(self) -> None:
        for planned in self._plan.functions.values():
            function: dict[str, Any] = {
                "@id": planned.id,
                "@type": "SoftwareApplication",
                "name": one_line(planned.name),
                "description": planned.description,
                "url": planned.id,
                "version": planned.version,
            }
            for role, parameters in (("input", planned.inputs), ("output", planned.outputs)):
                refer(function, role, [self._plan.parameter_id(planned.id, role, key) for key in parameters])
            self._out.put(function)
