"""Writes the metadata of a run crate, one entity a line, without ever holding the graph.

The terms are those of Provenance Run Crate 0.5: the workflow with its steps and functions, a CreateAction for each
attempt under the very id that it has in its step crate, a ControlAction for each task, one for the run and an
OrganizeAction for the engine. Data that a step declared to use *is* the entity that the other step generated; where
only equal content suggests it, the step keeps its own entity, which ``isBasedOn`` the other and says that this is
inferred.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO, Any

from prov_worker.crate import vocabulary as v
from prov_worker.crate.identifiers import is_absolute
from prov_worker.crate.json_text import encode, one_line, safe_name, urn, utc
from prov_worker.crate.people import People
from prov_worker.crate.software import package_id
from prov_worker.crate.summary import RunStep
from prov_worker.run.assembly import vocabulary as rv
from prov_worker.run.assembly.plan import FILES, Prospect, files_parameter, formal_parameter, parameter_key
from prov_worker.run.assembly.shared_entities import Shared
from prov_worker.run.assembly.staging import Entry, StagingDb
from prov_worker.run.assembly.workflow import FLOW_LANGUAGE, FLOWS, PLAIN_LANGUAGE, Workflow
from prov_worker.run.model import DECLARED

Reference = dict[str, str]


@dataclass(frozen=True, slots=True)
class Heading:
    """What the run says of itself.

    Attributes:
        name: of the run.
        description: one line.
        published: UTC time, as the profiles take it.
        people: licence, author, publisher.
        files: files at the top of the crate with their description, media type, size and sha256 (None for both where
            they are not known when the metadata are written).
        triggers: entities of the triggers' crates.
    """

    name: str
    description: str
    published: str
    people: People
    files: tuple[tuple[str, str, str, int | None, str | None], ...]
    triggers: tuple[dict[str, Any], ...] = ()


class GraphWriter:
    """Writes the document to a stream.

    Args:
        stream: text, UTF-8.
        staging: the steps, settled.
        prospect: what was meant to run, settled.
        shared: entities that the step crates have in common.
        workflow: definition, where one was given.
    """

    def __init__(
        self, stream: IO[str], staging: StagingDb, prospect: Prospect, shared: Shared, workflow: Workflow | None
    ) -> None:
        self._out = stream
        self._db = staging
        self._prospect = prospect
        self._shared = shared
        self._workflow = workflow
        self._first = True
        self._hosts: dict[str, str] = {}
        self._versions: dict[tuple[str, str], int] = {}
        self._elsewhere: set[str] = set()

    def write(self, heading: Heading) -> None:
        """Write the whole document."""
        self._out.write('{"@context":' + encode(v.CONTEXT) + ',\n"@graph":[\n')
        self._head(heading)
        for entry in self._db.entries():
            self._step(entry)
        self._workflow_entities(heading)
        self._run(heading)
        for entity in self._shared.entities():
            self._put(entity)
        self._out.write("\n]}\n")

    def _put(self, entity: dict[str, Any]) -> None:
        self._line(encode(entity))

    def _line(self, text: str) -> None:
        self._out.write(text if self._first else ",\n" + text)
        self._first = False

    def _streamed(self, entity: dict[str, Any], lists: Iterable[tuple[str, Iterable[str]]]) -> None:
        """An entity whose long lists of references are never in memory."""
        self._line(encode(entity)[:-1])
        for key, ids in lists:
            self._list(key, ids)
        self._out.write("}")

    def _list(self, key: str, ids: Iterable[str]) -> None:
        iterator = iter(ids)
        first = next(iterator, None)
        if first is None:
            return
        second = next(iterator, None)
        if second is None:
            # A list of one member misses a recommendation.
            self._out.write(f',{encode(key)}:{{"@id":{encode(first)}}}')
            return
        self._out.write(f',{encode(key)}:[{{"@id":{encode(first)}}},{{"@id":{encode(second)}}}')
        for identifier in iterator:
            self._out.write(f',{{"@id":{encode(identifier)}}}')
        self._out.write("]")

    # -- the crate ---------------------------------------------------------------------------------------------------

    def _head(self, heading: Heading) -> None:
        people = heading.people
        self._put(
            {
                "@id": v.METADATA_FILE,
                "@type": "CreativeWork",
                "about": {"@id": "./"},
                "conformsTo": [{"@id": v.CRATE_PROFILE}, {"@id": rv.WORKFLOW_CRATE_PROFILE}],
            }
        )
        root = {
            "@id": "./",
            "@type": "Dataset",
            "name": heading.name,
            "description": heading.description,
            "datePublished": heading.published,
            "license": {"@id": people.license},
            "author": {"@id": people.author},
            "publisher": {"@id": people.publisher},
            "conformsTo": [{"@id": profile} for profile, _, _ in rv.PROFILES],
            "mainEntity": {"@id": self._prospect.file},
        }
        self._streamed(root, [("hasPart", self._parts(heading)), ("mentions", self._mentions(heading))])
        for identifier, name, version in rv.PROFILES:
            self._put({"@id": identifier, "@type": "CreativeWork", "name": name, "version": version})
        for text in people.entities:
            self._line(text)
        for trigger in heading.triggers:
            self._put(trigger)
        for name, description, media_type, size, sha256 in heading.files:
            if name == self._prospect.file:
                continue
            file: dict[str, Any] = {
                "@id": name,
                "@type": "File",
                "name": name,
                "description": description,
                "encodingFormat": media_type,
            }
            if size is not None:
                file["contentSize"] = str(size)
            if sha256 is not None:
                file["sha256"] = sha256
            if name == v.README_FILE:
                file["about"] = {"@id": "./"}
            self._put(file)

    def _parts(self, heading: Heading) -> Iterable[str]:
        for name, *_ in heading.files:
            yield name
        elsewhere: set[str] = set()
        for entry in self._db.entries():
            yield entry.step.crate_id
            yield entry.step.crate_id + v.METADATA_FILE
            for file in entry.step.files:
                if file.inside:
                    yield _in_run(entry.step.crate_id, file.id)
                elif is_absolute(file.id) and file.id not in elsewhere:
                    elsewhere.add(file.id)
                    yield file.id

    def _mentions(self, heading: Heading) -> Iterable[str]:
        for trigger in heading.triggers:
            yield trigger["@id"]
        yield rv.RUN_ID
        yield rv.ENGINE_RUN_ID
        for group in self._workflow.groups if self._workflow is not None else ():
            yield _group_id(group)
        for entry in self._db.entries():
            yield _action_id(entry)

    # -- steps -------------------------------------------------------------------------------------------------------

    def _step(self, entry: Entry) -> None:
        step = entry.step
        prefix = step.crate_id
        self._put(
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
        self._put(
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
        self._put(self._action(entry, objects, results))
        for identifier in entry.entities:
            if identifier.startswith("#usage-"):
                self._put({**entry.entities[identifier], "@id": prefix + identifier})
        if step.latest:
            self._control(step)

    def _action(self, entry: Entry, objects: list[str], results: list[str]) -> dict[str, Any]:
        step = entry.step
        action: dict[str, Any] = {
            "@id": _action_id(entry),
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
        _refer(action, "object", objects)
        _refer(action, "result", results)
        if step.host is not None:
            action["environment"] = {"@id": self._host(step.host)}
        _refer(
            action,
            "resourceUsage",
            [step.crate_id + entity for entity in entry.entities if entity.startswith("#usage-")],
        )
        for name in ("globus-compute-endpoint", "globus-compute-sdk", "parsl", "prov-worker"):
            if name in step.versions:
                key = (name, step.versions[name])
                self._versions[key] = self._versions.get(key, 0) + 1
                break
        return action

    def _host(self, host: str) -> str:
        identifier = f"#host-{safe_name(host)}"
        if identifier not in self._hosts:
            self._hosts[identifier] = host
            self._put({"@id": identifier, "@type": "PropertyValue", "name": "host of the worker", "value": host})
        return identifier

    def _data(self, entry: Entry) -> tuple[list[str], list[str]]:
        """Write the entities of arguments, results and files; returns the ids that the action refers to."""
        step, prefix, prospect = entry.step, entry.step.crate_id, self._prospect
        into = {link[0]: link for link in self._db.links_into(step.key)}
        out_of = self._db.links_from(step.key)
        objects, results = [], []
        used = [value.id for value in step.arguments] + [file.id for file in step.files if file.role == "used"]
        for identifier in used:
            mine = prospect.parameter_id(step.function_id, "input", parameter_key(identifier))
            link = into.get(identifier)
            extra: dict[str, Any] = {}
            examples = [mine]
            if link is not None:
                _, source, source_id, source_function, via = link
                theirs = prospect.parameter_id(source_function, "output", parameter_key(source_id))
                prospect.connect(theirs, mine)
                other = _in_run(v.step_id(source), source_id)
                if via == DECLARED:
                    objects.append(other)
                    continue
                extra = {"isBasedOn": {"@id": other}, "description": _INFERRED}
            elif parameter_key(identifier) == FILES:
                self._db.note_outer("object", _in_run(prefix, identifier))
                examples.append(self._main("input", mine))
            objects.append(_in_run(prefix, identifier))
            self._datum(entry, identifier, extra, examples)
        made = [value.id for value in step.results] + [file.id for file in step.files if file.role == "generated"]
        for identifier in made:
            mine = prospect.parameter_id(step.function_id, "output", parameter_key(identifier))
            examples = [mine]
            taken = False
            for source_id, function, target_id, via in out_of:
                if source_id == identifier:
                    taken = True
                    if via == DECLARED:
                        examples.append(prospect.parameter_id(function, "input", parameter_key(target_id)))
            if not taken and step.latest and parameter_key(identifier) == FILES:
                self._db.note_outer("result", _in_run(prefix, identifier))
                examples.append(self._main("output", mine))
            elif not taken and step.latest:
                self._db.note_outer("other", _in_run(prefix, identifier))
            results.append(_in_run(prefix, identifier))
            self._datum(entry, identifier, {}, list(dict.fromkeys(examples)))
        return objects, results

    def _datum(self, entry: Entry, identifier: str, extra: dict[str, Any], examples: list[str]) -> None:
        """Write the entity of an argument, a result or a file; of what many crates name by one URI, the first."""
        shown = _in_run(entry.step.crate_id, identifier)
        if shown == identifier:
            if shown in self._elsewhere:
                return
            self._elsewhere.add(shown)
        entity = {**entry.entities[identifier], **extra, "@id": shown}
        _refer(entity, "exampleOfWork", examples)
        self._put(entity)

    def _main(self, role: str, parameter: str) -> str:
        """Connect a parameter of a function with that of the workflow; returns the workflow's."""
        mine = f"{self._prospect.file}#main/{role}-{FILES}"
        if role == "input":
            self._prospect.connect(mine, parameter)
        else:
            self._prospect.connect(parameter, mine)
        return mine

    def _control(self, step: RunStep) -> None:
        attempts = self._db.attempts(step.task_id)
        control: dict[str, Any] = {
            "@id": _control_id(step.task_id),
            "@type": "ControlAction",
            "name": f"orchestrate {one_line(step.function)}",
            "instrument": {"@id": self._prospect.stage_id(self._prospect.stage_name(step))},
        }
        _refer(
            control,
            "object",
            [_in_run(v.step_id(staged.key), self._db.action_of(staged.key)) for staged in attempts],
        )
        control["actionStatus"] = v.FAILED_STATUS if step.failed else v.COMPLETED_STATUS
        if step.failed:
            control["error"] = one_line(step.error or "The task failed; no reason is known.")
        self._put(control)

    # -- workflow and run --------------------------------------------------------------------------------------------

    def _workflow_entities(self, heading: Heading) -> None:
        prospect = self._prospect
        flow = self._workflow is not None and self._workflow.language == "flow"
        language = FLOW_LANGUAGE if flow else PLAIN_LANGUAGE
        language_name = "Globus Flow definition" if flow else "prov-worker workflow definition"
        described = next(file for file in heading.files if file[0] == prospect.file)
        entity: dict[str, Any] = {
            "@id": prospect.file,
            "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
            "name": one_line((self._workflow.name if self._workflow is not None else None) or heading.name),
            "description": described[1],
            "encodingFormat": described[2],
            "contentSize": str(described[3]),
            "sha256": described[4],
            "url": FLOWS if flow else PLAIN_LANGUAGE,
            "version": "1",
            "conformsTo": {"@id": rv.BIOSCHEMAS_WORKFLOW},
            "programmingLanguage": {"@id": language},
        }
        _refer(entity, "hasPart", list(prospect.functions))
        stages = sorted(prospect.stages, key=lambda key: prospect.stages[key].position)
        _refer(entity, "step", [prospect.stage_id(key) for key in stages])
        outer = f"{prospect.file}#main/"
        for role in ("input", "output"):
            if any(f"{outer}{role}-{FILES}" in pair for pair in prospect.connections):
                entity[role] = {"@id": f"{outer}{role}-{FILES}"}
        _refer(entity, "connection", [c for (_, target), c in prospect.connections.items() if target.startswith(outer)])
        self._put(entity)
        for role in ("input", "output"):
            if role in entity:
                description = f"{'used' if role == 'input' else 'generated'} by the run"
                self._put(formal_parameter(f"{outer}{role}-{FILES}", files_parameter(FILES), description))
        web = language if flow else v.NAMESPACE
        self._put({"@id": language, "@type": "ComputerLanguage", "name": language_name, "url": {"@id": web}})
        self._functions()
        for key in stages:
            stage = prospect.stages[key]
            step: dict[str, Any] = {
                "@id": prospect.stage_id(key),
                "@type": "HowToStep",
                "name": one_line(stage.name),
                "position": str(stage.position),
            }
            _refer(step, "workExample", list(stage.functions))
            inputs = tuple(
                f"{prospect.file}#{prospect.functions[function].label}/input-" for function in stage.functions
            )
            _refer(
                step, "connection", [c for (_, t), c in prospect.connections.items() if inputs and t.startswith(inputs)]
            )
            self._put(step)
        for parameter in prospect.parameters():
            self._put(parameter)
        for (source, target), identifier in prospect.connections.items():
            self._put(
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
                _refer(function, role, [self._prospect.parameter_id(ran.id, role, key) for key in parameters])
            self._put(function)

    def _run(self, heading: Heading) -> None:
        db = self._db
        first, last = db.span()
        tasks, failed = db.tasks()
        times = {"startTime": utc(first), "endTime": utc(last)} if first is not None and last is not None else {}
        status: dict[str, Any] = {"actionStatus": v.FAILED_STATUS if failed else v.COMPLETED_STATUS}
        if failed:
            status["error"] = f"{failed} of {tasks} tasks failed"
        agent = {"@id": heading.people.author}
        run = {
            "@id": rv.RUN_ID,
            "@type": "CreateAction",
            "name": f"Run of {heading.name}",
            "description": heading.description,
            "instrument": {"@id": self._prospect.file},
            **times,
            "agent": agent,
            **status,
        }
        # What left the run: the files that nothing used; where there is no file, the values that nothing used.
        role = "result" if next(db.outer("result"), None) is not None else "other"
        self._streamed(run, [("object", db.outer("object")), ("result", db.outer(role))])
        (name, version), _ = max(
            self._versions.items(), key=lambda version: version[1], default=(("prov-worker", "unknown"), 0)
        )
        engine = package_id(name, version)
        self._put({"@id": engine, "@type": "SoftwareApplication", "name": name, "version": version, "url": engine})
        organised = {
            "@id": rv.ENGINE_RUN_ID,
            "@type": "OrganizeAction",
            "name": "Orchestration of the run",
            "agent": agent,
            "instrument": {"@id": engine},
            **times,
            **status,
            "result": {"@id": rv.RUN_ID},
        }
        controls = (_control_id(task) for _, task in db.ordered_keys(latest=True))
        self._streamed(organised, [("object", controls)])
        self._groups()

    def _groups(self) -> None:
        for group, tasks in (self._workflow.groups if self._workflow is not None else {}).items():
            entity: dict[str, Any] = {"@id": _group_id(group), "@type": "Collection", "name": f"Task group {group}"}
            _refer(entity, "hasPart", [_control_id(task) for task in tasks if self._db.attempts(task)])
            self._put(entity)


_INFERRED = "Inferred, not stated: the same content (sha256) as what this is based on"


def _in_run(crate_id: str, identifier: str) -> str:
    """Id in the run crate of an entity of a step crate; what has an absolute URI keeps it."""
    return identifier if is_absolute(identifier) else crate_id + identifier


def _action_id(entry: Entry) -> str:
    return _in_run(entry.step.crate_id, entry.action_id)


def _control_id(task_id: str) -> str:
    return f"#control-{safe_name(task_id)}"


def _group_id(group: str) -> str:
    return f"#group-{safe_name(group)}"


def _where(step: RunStep) -> str:
    text = f"Task {one_line(step.task_id)}"
    if step.endpoint_id or step.endpoint_name:
        text += f" on endpoint {one_line(step.endpoint_id or step.endpoint_name)}"
    return f"{text}, attempt {step.attempt}, worker {one_line(step.worker)}."


def _refer(entity: dict[str, Any], key: str, ids: list[str]) -> None:
    """References to entities; a bare one where there is one, none where there is none."""
    if len(ids) == 1:
        entity[key] = {"@id": ids[0]}
    elif ids:
        entity[key] = [{"@id": identifier} for identifier in ids]
