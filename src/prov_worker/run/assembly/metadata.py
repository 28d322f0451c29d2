"""Writes the metadata of a run crate.

The terms are those of Provenance Run Crate 0.5: the workflow with its steps and functions, a CreateAction for each
attempt under the very id that it has in its step crate, a ControlAction for each task, one for the run and an
OrganizeAction for the engine.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO, Any

from prov_worker.crate import vocabulary as v
from prov_worker.crate.identifiers import is_absolute
from prov_worker.crate.json_text import utc
from prov_worker.crate.people import People
from prov_worker.crate.software import package_id
from prov_worker.humanize import plural
from prov_worker.run.assembly import vocabulary as rv
from prov_worker.run.assembly.entity_ids import control_id, group_id, in_run
from prov_worker.run.assembly.entity_stream import EntityStream, refer
from prov_worker.run.assembly.plan import WorkflowPlan
from prov_worker.run.assembly.shared_entities import Shared
from prov_worker.run.assembly.staging import StagingDb
from prov_worker.run.assembly.step_entities import StepEntities
from prov_worker.run.assembly.workflow import Workflow
from prov_worker.run.assembly.workflow_entities import File, WorkflowEntities


@dataclass(frozen=True, slots=True)
class Heading:
    """What the run says of itself.

    Attributes:
        name: of the run.
        description: one line.
        published: UTC time, as the profiles take it.
        people: licence, author, publisher.
        files: files at the top of the crate with their description, media type, size and sha256 (None for both if
            they are not known when the metadata are written).
        triggers: entities of the triggers' crates.
        preview: whether there is a page about the run.
    """

    name: str
    description: str
    published: str
    people: People
    files: tuple[File, ...]
    triggers: tuple[dict[str, Any], ...] = ()
    preview: bool = False


class GraphWriter:
    """Writes the document to a stream.

    Args:
        stream: text, UTF-8.
        staging: the steps, settled.
        plan: what was meant to run, settled.
        shared: entities that the step crates have in common.
        workflow: definition, if one was given.
    """

    def __init__(
        self, stream: IO[str], staging: StagingDb, plan: WorkflowPlan, shared: Shared, workflow: Workflow | None
    ) -> None:
        self._out = EntityStream(stream)
        self._db = staging
        self._plan = plan
        self._shared = shared
        self._workflow = workflow
        self._steps = StepEntities(self._out, staging, plan)

    def write(self, heading: Heading) -> None:
        """Write the whole document."""
        self._out.begin()
        self._head(heading)
        for entry in self._db.entries():
            self._steps.add(entry)
        file = next(file for file in heading.files if file[0] == self._plan.file)
        WorkflowEntities(self._out, self._plan, self._workflow).write(heading.name, file)
        self._run(heading)
        for entity in self._shared.entities():
            self._out.put(entity)
        self._out.end()

    # -- the crate ---------------------------------------------------------------------------------------------------

    def _head(self, heading: Heading) -> None:
        people = heading.people
        self._out.put(
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
            "mainEntity": {"@id": self._plan.file},
        }
        self._out.streamed(root, [("hasPart", self._parts(heading)), ("mentions", self._mentions(heading))])
        for identifier, name, version in rv.PROFILES:
            self._out.put({"@id": identifier, "@type": "CreativeWork", "name": name, "version": version})
        for text in people.entities:
            self._out.line(text)
        for trigger in heading.triggers:
            self._out.put(trigger)
        if heading.preview:
            preview = {"@id": v.PREVIEW_FILE, "@type": "CreativeWork", "name": "Preview", "about": {"@id": "./"}}
            self._out.put(preview)
        for name, description, media_type, size, sha256 in heading.files:
            if name == self._plan.file:
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
            self._out.put(file)

    def _parts(self, heading: Heading) -> Iterable[str]:
        for name, *_ in heading.files:
            yield name
        elsewhere: set[str] = set()
        for key, _, files in self._db.parts():
            crate_id = v.step_id(key)
            yield crate_id
            yield crate_id + v.METADATA_FILE
            for file in files:
                if not is_absolute(file):
                    yield crate_id + file
                elif file not in elsewhere:
                    elsewhere.add(file)
                    yield file

    def _mentions(self, heading: Heading) -> Iterable[str]:
        for trigger in heading.triggers:
            yield trigger["@id"]
        yield rv.RUN_ID
        yield rv.ENGINE_RUN_ID
        for group in self._workflow.groups if self._workflow is not None else ():
            yield group_id(group)
        for key, action, _ in self._db.parts():
            yield in_run(v.step_id(key), action)

    def _run(self, heading: Heading) -> None:
        db = self._db
        first, last = db.span()
        tasks, failed = db.tasks()
        times = {"startTime": utc(first), "endTime": utc(last)} if first is not None and last is not None else {}
        status: dict[str, Any] = {"actionStatus": v.FAILED_STATUS if failed else v.COMPLETED_STATUS}
        if failed:
            status["error"] = f"{failed} of {plural(tasks, 'task')} failed"
        agent = {"@id": heading.people.author}
        run = {
            "@id": rv.RUN_ID,
            "@type": "CreateAction",
            "name": f"Run of {heading.name}",
            "description": heading.description,
            "instrument": {"@id": self._plan.file},
            **times,
            "agent": agent,
            **status,
        }
        # What left the run: the files that nothing used; if there is no file, the values that nothing used.
        role = "result" if next(db.outer("result"), None) is not None else "other"
        self._out.streamed(run, [("object", db.outer("object")), ("result", db.outer(role))])
        (name, version), _ = max(
            self._steps.versions.items(), key=lambda version: version[1], default=(("prov-worker", "unknown"), 0)
        )
        engine = package_id(name, version)
        self._out.put({"@id": engine, "@type": "SoftwareApplication", "name": name, "version": version, "url": engine})
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
        controls = (control_id(task) for _, task in db.ordered_keys(latest=True))
        self._out.streamed(organised, [("object", controls)])
        self._groups()

    def _groups(self) -> None:
        for group, tasks in (self._workflow.groups if self._workflow is not None else {}).items():
            entity: dict[str, Any] = {"@id": group_id(group), "@type": "Collection", "name": f"Task group {group}"}
            refer(entity, "hasPart", [control_id(task) for task in tasks if self._db.attempts(task)])
            self._out.put(entity)
