"""The metadata document of one step crate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, TypeVar

from prov_worker.crate import property_values as f
from prov_worker.crate import vocabulary as v
from prov_worker.crate.endpoint import endpoint_entity, endpoint_of_record
from prov_worker.crate.entities import PLACE, Document, Template, beginning, ending, entity, references
from prov_worker.crate.entities import file as file_entity
from prov_worker.crate.error_line import error_of
from prov_worker.crate.json_text import clean, one_line, safe_name, utc
from prov_worker.crate.node_entities import Node
from prov_worker.crate.observations import Observed, observe
from prov_worker.crate.people import People
from prov_worker.crate.software import Software, container_image, function_entities, function_id
from prov_worker.crate.training import part_facts, training_facts
from prov_worker.model import COMPLETED, Function, TaskRecord, TaskSeries, Worker
from prov_worker.settings import Settings

_PROFILE = entity(
    v.PROCESS_PROFILE, "CreativeWork", {"name": "Process Run Crate", "version": v.PROCESS_PROFILE_VERSION}
)
_DESCRIPTOR = entity(
    v.METADATA_FILE,
    "CreativeWork",
    {"about": {"@id": "./"}, "conformsTo": {"@id": v.CRATE_PROFILE}, "schemaVersion": v.LAYOUT},
)
_STEP = Template(entity("#step", "HowToStep", {"name": PLACE, "position": PLACE}))
_IMAGES = v.IMAGE_DIR + "/"
#: Of a function, all; of a worker, those that are plain values.
_FIELDS = attrgetter(*(each.name for each in fields(Function)))
_PROCESS = attrgetter("host", "pid", "thread", "rank", "pool_id", "block_id", "container")
#: Most that is kept of each kind, for further tasks.
_MOST = 64
_Key = TypeVar("_Key")
_Kept = TypeVar("_Kept")


@dataclass(slots=True)
class CrateContent:
    """A file of a step crate.

    Attributes:
        path: relative path on disk.
        identifier: the same, encoded as an id.
        data: content.
        sha256: its digest.
        name, description, media_type: as the File entity says them.
    """

    path: str
    identifier: str
    data: bytes
    sha256: str
    name: str
    description: str
    media_type: str


@dataclass(slots=True)
class _Instrument:
    """What tasks of one function have in common on a node.

    Attributes:
        id: of the function.
        name: of the function.
        beginning: of their metadata.
        roots: entity of the crate, by ids of its files.
        actions: the action, by all that differs in it but texts.
    """

    id: str
    name: str
    beginning: bytes
    roots: dict[tuple[str, ...], Template] = field(default_factory=dict)
    actions: dict[tuple[Any, ...], Template] = field(default_factory=dict)


class StepWriter:
    """Renders the metadata of the tasks of one node.

    Args:
        node: hardware entities.
        people: licence, author and publisher.
        account: name of the account that runs the tasks.
        settings: how often CPU use is sampled, for the crates of tasks that have no sample of it.
    """

    def __init__(self, node: Node, people: People, account: str, settings: Settings) -> None:
        self._node = node
        self._people = people
        self._account = account
        self._service_url = settings.service_url
        self._cpu_interval_s = settings.telemetry.interval_s("cpu", settings.poll_interval)
        self._software: dict[tuple[tuple[str, str], ...], Software] = {}
        self._instruments: dict[tuple[Any, ...], _Instrument] = {}
        self._environments: dict[tuple[Any, ...], f.Facts] = {}
        self._fixed = [_PROFILE, *people.entities]

    def render(
        self, record: TaskRecord, series: TaskSeries | None, files: Sequence[CrateContent], *, cpu_sampled: bool
    ) -> Document:
        """Return the metadata document of a task: what it shares with others of its node comes first.

        Args:
            record: what is known of the task.
            series: what was sampled; None or empty if nothing was.
            files: all files of the crate but the metadata.
            cpu_sampled: whether the CPU samples are among them.
        """
        task_id = clean(record.task_id, 1000)
        task = one_line(task_id)
        by_path = {file.path: file for file in files}
        image = next((file.identifier for file in files if file.path.startswith(_IMAGES)), None)
        started, ended = utc(record.start_ns), utc(record.end_ns)
        taken: set[str] = set()

        observed = Observed()
        if series is not None:
            observed = observe(series, task, started, image, self._node.storage_id, cpu_sampled)
            taken.update(observed.usage_ids)
        identity = f.identity(record, task_id, taken)
        if record.failure is not None:
            f.add_failure(identity, record.failure)
        if record.command is not None:
            f.add_command(identity, record.command)
        arguments = f.values("#input-", record.arguments, taken)
        arguments.extend(f.declared_files("#input-file-", record.used, "used", taken))
        identity.extend(f.samples(series, taken))
        identity.extend(f.annotated(record, taken))
        identity.extend(f.notes(record, taken))
        if record.part is not None:
            identity.extend(part_facts(record.part, taken))
        if record.training is not None:
            identity.extend(training_facts(record.training, taken))
        endpoint = endpoint_of_record(record)
        environment = self._environment(record.worker, endpoint.user_id)
        usage = f.usage(record, _largest(series), taken)
        results = self._results(record, by_path, taken)
        instrument = self._instrument(record, by_path, observed.performance)
        service = endpoint_entity(endpoint)
        image_entity = container_image(record.worker.container or self._node.container or "")

        file_ids = tuple([file.identifier for file in files])
        root = instrument.roots.get(file_ids) or _kept(
            instrument.roots, file_ids, self._root(instrument.name, file_ids)
        )
        key = (
            record.status,
            service is None,
            image_entity is None,
            tuple(arguments.ids),
            tuple(results.ids),
            tuple(environment.ids),
            (*usage.ids, *observed.usage_ids),
            tuple(identity.ids),
        )
        action = instrument.actions.get(key) or _kept(instrument.actions, key, self._action(instrument, *key))
        entities = [
            root.fill(task, ended),
            action.fill(
                task,
                self._description(record, cpu_sampled),
                started,
                ended,
                *([] if record.status == COMPLETED else [error_of(record)]),
            ),
            f.task_id_entity(task_id),
            _STEP.fill(instrument.name, task or safe_name(task_id)),
        ]
        if service is not None:
            entities.append(service)
        if image_entity is not None:
            entities.append(image_entity)
        for facts in (identity, arguments, results, environment, usage):
            entities += facts.entities
        entities += [self._file(file, instrument.id) for file in files if file.path not in v.SHARED_FILES]
        entities += observed.entities
        return Document(instrument.beginning, ending(entities))

    def _instrument(
        self, record: TaskRecord, by_path: Mapping[str, CrateContent], performance: Mapping[str, Sequence[str]]
    ) -> _Instrument:
        """Return what is known of the function of a task, and of its node.

        Args:
            record: the task.
            by_path: files of the crate.
            performance: ids of observations by the id of the component that they are about.
        """
        function, command, versions = record.function, record.command, record.worker.versions
        key = (
            _FIELDS(function),
            None if command is None else (command.template, command.limit_s),
            tuple(versions.items()),
            tuple((component, *ids) for component, ids in performance.items()),
        )
        instrument = self._instruments.get(key)
        if instrument is not None:
            return instrument
        name = one_line(function.name, 200) or "unnamed function"
        identifier = function_id(function, self._service_url)
        software = self._software_of(versions)
        source = by_path.get(v.SOURCE_FILE)
        entities = [
            _DESCRIPTOR,
            *self._fixed,
            *software.entities,
            *self._node.entities(performance),
            *function_entities(function, identifier, software, source.identifier if source else None, command),
            *(self._file(by_path[path], identifier) for path in v.SHARED_FILES if path in by_path),
        ]
        return _kept(self._instruments, key, _Instrument(identifier, name, beginning(entities)))

    def _environment(self, worker: Worker, user_endpoint: str | None) -> f.Facts:
        """Return the facts of a worker, whose ids no others have; they are the same for most of its tasks."""
        variables = (worker.accelerators, worker.scheduler, worker.environment)
        key = (
            *_PROCESS(worker),
            user_endpoint,
            tuple(worker.cpu_affinity),
            *(tuple(mapping.items()) for mapping in variables),
        )
        return self._environments.get(key) or _kept(
            self._environments, key, f.environment(worker, self._account, user_endpoint)
        )

    def _action(
        self,
        instrument: _Instrument,
        status: str,
        without_service: bool,
        without_image: bool,
        arguments: Sequence[str],
        results: Sequence[str],
        environment: Sequence[str],
        usage: Sequence[str],
        identity: Sequence[str],
    ) -> Template:
        """Return the action, with places for task, description, times, and the error if it failed."""
        properties = {
            "name": f"Run of {instrument.name} (task {PLACE})",
            "description": PLACE,
            "identifier": {"@id": "#task-id"},
            "startTime": PLACE,
            "endTime": PLACE,
            "agent": {"@id": self._people.agent},
            "actionStatus": v.COMPLETED_STATUS if status == COMPLETED else v.FAILED_STATUS,
            "error": None if status == COMPLETED else PLACE,
            "instrument": {"@id": instrument.id},
            "provider": None if without_service else {"@id": "#endpoint"},
            "step": {"@id": "#step"},
            "hasPart": {"@id": "#hardware-runtime"},
            "object": references(arguments),
            "result": references(results),
            "environment": references([*environment, *self._node.environment_ids]),
            "resourceUsage": references(usage),
            "containerImage": None if without_image else {"@id": "#container-image"},
            "additionalProperty": references(identity),
        }
        return Template(entity(v.ACTION_ID, v.ACTION_TYPES, properties))

    def _software_of(self, versions: Mapping[str, str]) -> Software:
        key = tuple(versions.items())
        software = self._software.get(key)
        if software is None:
            # Bounded by the number of different workers of a node.
            software = self._software[key] = Software(versions)
        return software

    def _root(self, function: str, file_ids: Sequence[str]) -> Template:
        """Return the crate itself, with places for task and end."""
        properties = {
            "name": f"Distributed step crate for Globus Compute task {PLACE}",
            "description": (
                f"Provenance of one execution of function {function}: inputs, outputs, hardware and resource use."
            ),
            "identifier": {"@id": "#task-id"},
            "datePublished": PLACE,
            "license": {"@id": self._people.license},
            "author": {"@id": self._people.author},
            "publisher": {"@id": self._people.publisher},
            "conformsTo": {"@id": v.PROCESS_PROFILE},
            "mainEntity": {"@id": v.ACTION_ID},
            "mentions": {"@id": v.ACTION_ID},
            "hasPart": references(file_ids),
        }
        return Template(entity("./", "Dataset", properties))

    def _description(self, record: TaskRecord, cpu_sampled: bool) -> str:
        worker = record.worker
        if not record.begun:
            return f"Attempt {record.attempt}: nothing is known of its worker."
        text = f"Attempt {record.attempt} on worker {one_line(worker.host) or 'unknown'} (pid {worker.pid})."
        if not cpu_sampled:
            if self._cpu_interval_s is None:
                text += " Sampling of CPU use was switched off."
            elif record.wall_time_s < self._cpu_interval_s:
                interval = f"{self._cpu_interval_s:g} s"
                text += f" It was shorter than the sampling interval ({interval}): no sample was taken."
            else:
                text += " No sample was taken."
        return text

    def _results(self, record: TaskRecord, by_path: Mapping[str, CrateContent], taken: set[str]) -> f.Facts:
        described = [record.result] if record.result is not None else []
        results = f.values("#output-", described, taken)
        outputs = f.output_files(record.outputs, taken)
        generated = f.declared_files("#output-file-", record.generated, "generated", taken)
        results.extend(outputs)
        results.extend(generated)
        for path in (v.TRACEBACK_FILE, v.ERROR_FILE, v.STDOUT_FILE, v.STDERR_FILE):
            if path in by_path:
                results.ids.append(by_path[path].identifier)
        if not results.ids:
            # Process Run Crate 0.5 recommends a result (rule 11.1); a task always returns something.
            results.entities.append(
                entity(
                    results.reserve("#output-return"),
                    "PropertyValue",
                    {
                        "name": "return",
                        "value": "<not recorded>",
                        "description": "The result of the function was not recorded",
                        "valueRecorded": False,
                    },
                )
            )
        return results

    def _file(self, content: CrateContent, function_iri: str) -> str:
        about = None
        if content.path == v.SOURCE_FILE:
            about = function_iri
        elif content.path == v.CALL_FILE:
            about = v.ACTION_ID
        elif content.path.startswith(_IMAGES):
            about = v.CPU_OBSERVATION
        return file_entity(
            content.identifier,
            content.name,
            content.description,
            content.media_type,
            len(content.data),
            content.sha256,
            about,
        )


def _kept(place: dict[_Key, _Kept], key: _Key, value: _Kept) -> _Kept:
    """Keep a value for further tasks, and return it."""
    if len(place) >= _MOST:
        place.clear()
    place[key] = value
    return value


def _largest(series: TaskSeries | None) -> float | None:
    """Return largest sample of the task's resident memory."""
    column = series.task.columns.get("rss_bytes") if series is not None and series.task is not None else None
    extremes = column.extremes() if column is not None else None
    return extremes[1] if extremes is not None else None
