"""Entities of the steps of a run crate: each with its action, its data, and what controlled it.

Data that a step declared to use *is* the entity that the other step generated; if only equal content suggests it,
the step keeps its own entity, which ``isBasedOn`` the other and says that this is inferred.
"""

from __future__ import annotations

from typing import Any

from prov_worker.crate import vocabulary as v
from prov_worker.crate.json_text import one_line, safe_name, urn, utc
from prov_worker.crate.summary import RunStep
from prov_worker.run.assembly import vocabulary as rv
from prov_worker.run.assembly.entity_ids import action_id, control_id, in_run
from prov_worker.run.assembly.entity_stream import EntityStream, refer
from prov_worker.run.assembly.plan import FILES, WorkflowPlan, parameter_key
from prov_worker.run.assembly.staging import Entry, StagingDb
from prov_worker.run.model import DECLARED

_INFERRED = "Inferred, not stated: the same content (sha256) as what this is based on"


class StepEntities:
    """Writes the steps.

    Args:
        out: the document.
        staging: the steps, settled.
        plan: what was meant to run, settled; connections of its parameters are added.

    Attributes:
        versions: by name and version of the software that ran them, the number of steps.
    """

    def __init__(self, out: EntityStream, staging: StagingDb, plan: WorkflowPlan) -> None:
        self._out = out
        self._db = staging
        self._plan = plan
        self._hosts: dict[str, str] = {}
        self.versions: dict[tuple[str, str], int] = {}
        self._elsewhere: set[str] = set()

    def add(self, entry: Entry) -> None:
        """Write the entities of a step."""
        step = entry.step
        prefix = step.crate_id
        self._out.put(
            {
                "@id": prefix,
                "@type": "Dataset",
                "name": entry.root.get("name", f"Step crate {step.key}"),
                "description": entry.root.get("description", f"Step crate of task {step.task_id}"),
                "identifier": urn(step.task_id),
                "conformsTo": [{"@id": rv.GENERIC_CRATE}, {"@id": v.PROCESS_PROFILE}],
                "datePublished": entry.root.get("datePublished", utc(step.end_ns)),
                "license": {"@id": entry.license},
            }
        )
        self._out.put(
            {
                "@id": prefix + v.METADATA_FILE,
                "@type": "File",
                "name": f"Metadata of step crate {step.key}",
                "description": "RO-Crate metadata of the step, sealed by its hash",
                "encodingFormat": "application/ld+json",
                "contentSize": str(step.metadata_bytes),
                "sha256": step.metadata_sha256,
            }
        )
        objects, results = self._data(entry)
        self._out.put(self._action(entry, objects, results))
        for identifier in entry.entities:
            if identifier.startswith("#usage-"):
                self._out.put({**entry.entities[identifier], "@id": prefix + identifier})
        if step.latest:
            self._control(step)

    def _action(self, entry: Entry, objects: list[str], results: list[str]) -> dict[str, Any]:
        step = entry.step
        action: dict[str, Any] = {
            "@id": action_id(entry),
            "@type": "CreateAction",
            "subjectOf": {"@id": step.crate_id},
            "name": f"Run of {one_line(step.function)} (task {one_line(step.task_id)}, attempt {step.attempt})",
            "description": _where(step),
        }
        if step.start_ns is not None:
            action["startTime"] = utc(step.start_ns)
        action["endTime"] = utc(step.end_ns)
        action["agent"] = {"@id": entry.agent}
        action["actionStatus"] = v.FAILED_STATUS if step.failed else v.COMPLETED_STATUS
        if step.failed:
            action["error"] = one_line(step.error or "The task failed; no reason is known.")
        action["instrument"] = {"@id": step.function_id}
        if entry.provider is not None:
            action["provider"] = {"@id": entry.provider}
        refer(action, "object", objects)
        refer(action, "result", results)
        if step.host is not None:
            action["environment"] = {"@id": self._host(step.host)}
        refer(
            action,
            "resourceUsage",
            [step.crate_id + entity for entity in entry.entities if entity.startswith("#usage-")],
        )
        for name in ("globus-compute-endpoint", "globus-compute-sdk", "parsl", "prov-worker"):
            if name in step.versions:
                key = (name, step.versions[name])
                self.versions[key] = self.versions.get(key, 0) + 1
                break
        return action

    def _host(self, host: str) -> str:
        identifier = f"#host-{safe_name(host)}"
        if identifier not in self._hosts:
            self._hosts[identifier] = host
            self._out.put({"@id": identifier, "@type": "PropertyValue", "name": "host of the worker", "value": host})
        return identifier

    def _data(self, entry: Entry) -> tuple[list[str], list[str]]:
        """Write the entities of arguments, results and files; returns the ids that the action refers to."""
        step, prefix, plan = entry.step, entry.step.crate_id, self._plan
        into = {link[0]: link for link in self._db.links_into(step.key)}
        out_of = self._db.links_from(step.key)
        objects, results = [], []
        used = [value.id for value in step.arguments] + [file.id for file in step.files if file.role == "used"]
        for identifier in used:
            mine = plan.parameter_id(step.function_id, "input", parameter_key(identifier))
            link = into.get(identifier)
            extra: dict[str, Any] = {}
            examples = [mine]
            if link is not None:
                _, source, source_id, source_function, via = link
                theirs = plan.parameter_id(source_function, "output", parameter_key(source_id))
                plan.connect(theirs, mine)
                other = in_run(v.step_id(source), source_id)
                if via == DECLARED:
                    objects.append(other)
                    continue
                extra = {"isBasedOn": {"@id": other}, "description": _INFERRED}
            elif parameter_key(identifier) == FILES:
                self._db.note_outer("object", in_run(prefix, identifier))
                examples.append(self._main("input", mine))
            objects.append(in_run(prefix, identifier))
            self._datum(entry, identifier, extra, examples)
        made = [value.id for value in step.results] + [file.id for file in step.files if file.role == "generated"]
        for identifier in made:
            mine = plan.parameter_id(step.function_id, "output", parameter_key(identifier))
            examples = [mine]
            taken = False
            for source_id, function, target_id, via in out_of:
                if source_id == identifier:
                    taken = True
                    if via == DECLARED:
                        examples.append(plan.parameter_id(function, "input", parameter_key(target_id)))
            if not taken and step.latest and parameter_key(identifier) == FILES:
                self._db.note_outer("result", in_run(prefix, identifier))
                examples.append(self._main("output", mine))
            elif not taken and step.latest:
                self._db.note_outer("other", in_run(prefix, identifier))
            results.append(in_run(prefix, identifier))
            self._datum(entry, identifier, {}, list(dict.fromkeys(examples)))
        return objects, results

    def _datum(self, entry: Entry, identifier: str, extra: dict[str, Any], examples: list[str]) -> None:
        """Write the entity of an argument, a result or a file; of what many crates name by one URI, the first."""
        shown = in_run(entry.step.crate_id, identifier)
        if shown == identifier:
            if shown in self._elsewhere:
                return
            self._elsewhere.add(shown)
        entity = {**entry.entities[identifier], **extra, "@id": shown}
        refer(entity, "exampleOfWork", examples)
        self._out.put(entity)

    def _main(self, role: str, parameter: str) -> str:
        """Connect a parameter of a function with that of the workflow; returns the workflow's."""
        mine = f"{self._plan.file}#main/{role}-{FILES}"
        if role == "input":
            self._plan.connect(mine, parameter)
        else:
            self._plan.connect(parameter, mine)
        return mine

    def _control(self, step: RunStep) -> None:
        attempts = self._db.attempts(step.task_id)
        control: dict[str, Any] = {
            "@id": control_id(step.task_id),
            "@type": "ControlAction",
            "name": f"orchestrate {one_line(step.function)}",
            "instrument": {"@id": self._plan.stage_id(self._plan.stage_name(step))},
        }
        refer(
            control,
            "object",
            [in_run(v.step_id(staged.key), self._db.action_of(staged.key)) for staged in attempts],
        )
        control["actionStatus"] = v.FAILED_STATUS if step.failed else v.COMPLETED_STATUS
        if step.failed:
            control["error"] = one_line(step.error or "The task failed; no reason is known.")
        self._out.put(control)


def _where(step: RunStep) -> str:
    text = f"Task {one_line(step.task_id)}"
    if step.endpoint_id or step.endpoint_name:
        text += f" on endpoint {one_line(step.endpoint_id or step.endpoint_name)}"
    return f"{text}, attempt {step.attempt}, worker {one_line(step.worker)}."
