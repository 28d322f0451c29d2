"""Entities of the workflow of a run crate: its file, functions, steps, parameters and how these are connected."""

from __future__ import annotations

from typing import Any, TypeAlias

from prov_worker.crate import vocabulary as v
from prov_worker.crate.json_text import one_line
from prov_worker.run.assembly import vocabulary as rv
from prov_worker.run.assembly.entity_stream import EntityStream, refer
from prov_worker.run.assembly.plan import FILES, Prospect, files_parameter, formal_parameter
from prov_worker.run.assembly.workflow import FLOW_LANGUAGE, FLOWS, PLAIN_LANGUAGE, Workflow

#: A file at the top of a run crate: name, description, media type, size and sha256; None for both if they are not known
#: when the metadata are written.
File: TypeAlias = tuple[str, str, str, int | None, str | None]


class WorkflowEntities:
    """Writes the workflow.

    Args:
        out: the document.
        prospect: what was meant to run, settled.
        workflow: its definition, if one was given.
    """

    def __init__(self, out: EntityStream, prospect: Prospect, workflow: Workflow | None) -> None:
        self._out = out
        self._prospect = prospect
        self._workflow = workflow

    def write(self, name: str, file: File) -> None:
        """Write them.

        Args:
            name: of the run.
            file: of the workflow.
        """
        prospect = self._prospect
        flow = self._workflow is not None and self._workflow.language == "flow"
        language = FLOW_LANGUAGE if flow else PLAIN_LANGUAGE
        language_name = "Globus Flow definition" if flow else "prov-worker workflow definition"
        entity: dict[str, Any] = {
            "@id": prospect.file,
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
        refer(entity, "hasPart", list(prospect.functions))
        stages = sorted(prospect.stages, key=lambda key: prospect.stages[key].position)
        refer(entity, "step", [prospect.stage_id(key) for key in stages])
        outer = f"{prospect.file}#main/"
        for role in ("input", "output"):
            if any(f"{outer}{role}-{FILES}" in pair for pair in prospect.connections):
                entity[role] = {"@id": f"{outer}{role}-{FILES}"}
        refer(entity, "connection", [c for (_, target), c in prospect.connections.items() if target.startswith(outer)])
        self._out.put(entity)
        for role in ("input", "output"):
            if role in entity:
                description = f"{'used' if role == 'input' else 'generated'} by the run"
                self._out.put(formal_parameter(f"{outer}{role}-{FILES}", files_parameter(FILES), description))
        web = language if flow else v.NAMESPACE
        self._out.put({"@id": language, "@type": "ComputerLanguage", "name": language_name, "url": {"@id": web}})
        self._functions()
        for key in stages:
            stage = prospect.stages[key]
            step: dict[str, Any] = {
                "@id": prospect.stage_id(key),
                "@type": "HowToStep",
                "name": one_line(stage.name),
                "position": str(stage.position),
            }
            refer(step, "workExample", list(stage.functions))
            inputs = tuple(
                f"{prospect.file}#{prospect.functions[function].label}/input-" for function in stage.functions
            )
            refer(
                step, "connection", [c for (_, t), c in prospect.connections.items() if inputs and t.startswith(inputs)]
            )
            self._out.put(step)
        for parameter in prospect.parameters():
            self._out.put(parameter)
        for (source, target), identifier in prospect.connections.items():
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
        for ran in self._prospect.functions.values():
            function: dict[str, Any] = {
                "@id": ran.id,
                "@type": "SoftwareApplication",
                "name": one_line(ran.name),
                "description": ran.description,
                "url": ran.id,
                "version": ran.version,
            }
            for role, parameters in (("input", ran.inputs), ("output", ran.outputs)):
                refer(function, role, [self._prospect.parameter_id(ran.id, role, key) for key in parameters])
            self._out.put(function)
