"""The metadata document of one step crate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prov_worker.crate import property_values as f
from prov_worker.crate import vocabulary as v
from prov_worker.crate.endpoint import endpoint_entity, endpoint_of_record
from prov_worker.crate.entities import Document, entity, references
from prov_worker.crate.entities import file as file_entity
from prov_worker.crate.json_text import clean, encode, one_line, safe_name, utc
from prov_worker.crate.node_entities import Node
from prov_worker.crate.observations import Observed, observe
from prov_worker.crate.people import People
from prov_worker.crate.software import Software, container_image, function_entities, function_id
from prov_worker.crate.training import part_facts, training_facts
from prov_worker.model import COMPLETED, TaskRecord, TaskSeries
from prov_worker.settings import Settings
from prov_worker.training import Training

_PROFILE = entity(
    v.PROCESS_PROFILE, "CreativeWork", {"name": "Process Run Crate", "version": v.PROCESS_PROFILE_VERSION}
)
_DESCRIPTOR = entity(
    v.METADATA_FILE,
    "CreativeWork",
    {"about": {"@id": "./"}, "conformsTo": {"@id": v.CRATE_PROFILE}, "schemaVersion": v.LAYOUT},
)


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
        function = one_line(record.function.name, 200) or "unnamed function"
        by_path = {file.path: file for file in files}
        image = next((file.identifier for file in files if file.path.startswith(v.IMAGE_DIR + "/")), None)
        started = utc(record.start_ns)
        ended = utc(record.end_ns)
        taken: set[str] = set()

        observed = Observed()
        if series is not None:
            observed = observe(series, one_line(task_id), started, image, self._node.storage_id, cpu_sampled)
            taken.update(observed.usage_ids)
        identity = f.identity(record, task_id, taken)
        if record.failure is not None:
            f.add_failure(identity, record.failure)
        if record.command is not None:
            f.add_command(identity, record.command)
        arguments = f.values("#input-", record.arguments, taken)
        used = f.declared_files("#input-file-", record.used, "used", taken)
        arguments.ids += used.ids
        arguments.entities += used.entities
        part = part_facts(record.part, taken)
        training = training_facts(record.training or Training(), taken)
        for facts in (f.samples(series, taken), f.annotated(record, taken), f.notes(record, taken), part, training):
            identity.ids += facts.ids
            identity.entities += facts.entities
        endpoint = endpoint_of_record(record)
        environment = f.environment(record, self._account, endpoint.user_id, taken)
        usage = f.usage(record, _largest(series), taken)
        results = self._results(record, by_path, taken)
        function_iri = function_id(record.function, self._service_url)
        software = self._software_of(record.worker.versions)
        service = endpoint_entity(endpoint)
        container = record.worker.container or self._node.container
        image_entity = container_image(container) if container else None

        action: dict[str, Any] = {
            "@id": v.ACTION_ID,
            "@type": v.ACTION_TYPES,
            "name": f"Run of {function} (task {one_line(task_id)})",
            "description": self._description(record, cpu_sampled),
            "identifier": {"@id": "#task-id"},
        }
        action["startTime"] = started
        action["endTime"] = ended
        action["agent"] = {"@id": self._people.agent}
        action["actionStatus"] = v.COMPLETED_STATUS if record.status == COMPLETED else v.FAILED_STATUS
        if record.status != COMPLETED:
            action["error"] = error_of(record)
        action["instrument"] = {"@id": function_iri}
        if service is not None:
            action["provider"] = {"@id": "#endpoint"}
        action["step"] = {"@id": "#step"}
        action["hasPart"] = {"@id": "#hardware-runtime"}
        if arguments.ids:
            action["object"] = references(arguments.ids)
        action["result"] = references(results.ids)
        action["environment"] = references([*environment.ids, *self._node.environment_ids])
        action["resourceUsage"] = references([*usage.ids, *observed.usage_ids])
        if action["resourceUsage"] is None:
            del action["resourceUsage"]
        if image_entity is not None:
            action["containerImage"] = {"@id": "#container-image"}
        action["additionalProperty"] = references(identity.ids)

        entities = [
            self._root(task_id, function, ended, [file.identifier for file in files]),
            encode(action),
            f.task_id_entity(task_id),
            entity("#step", "HowToStep", {"name": function, "position": one_line(task_id) or safe_name(task_id)}),
        ]
        if service is not None:
            entities.append(service)
        source = by_path.get(v.SOURCE_FILE)
        entities += function_entities(
            record.function, function_iri, software, source.identifier if source else None, record.command
        )
        if image_entity is not None:
            entities.append(image_entity)
        for part in (identity, arguments, results, environment, usage):
            entities += part.entities
        entities += [self._file(file, function_iri) for file in files]
        entities += observed.entities
        shared = [_DESCRIPTOR, *self._fixed, *software.entities, *self._node.entities(observed.performance)]
        return Document.of(shared, entities)

    def _software_of(self, versions: Mapping[str, str]) -> Software:
        key = tuple(versions.items())
        software = self._software.get(key)
        if software is None:
            # Bounded by the number of different workers of a node.
            software = self._software[key] = Software(versions)
        return software

    def _root(self, task_id: str, function: str, ended: str, file_ids: Sequence[str]) -> str:
        return encode(
            {
                "@id": "./",
                "@type": "Dataset",
                "name": f"Distributed step crate for Globus Compute task {one_line(task_id)}",
                "description": (
                    f"Provenance of one execution of function {function}: inputs, outputs, hardware and resource use."
                ),
                "identifier": {"@id": "#task-id"},
                "datePublished": ended,
                "license": {"@id": self._people.license},
                "author": {"@id": self._people.author},
                "publisher": {"@id": self._people.publisher},
                "conformsTo": {"@id": v.PROCESS_PROFILE},
                "mainEntity": {"@id": v.ACTION_ID},
                "mentions": {"@id": v.ACTION_ID},
                "hasPart": references(file_ids),
            }
        )

    def _description(self, record: TaskRecord, cpu_sampled: bool) -> str:
        worker = record.worker
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
        results.ids += [*outputs.ids, *generated.ids]
        results.entities += [*outputs.entities, *generated.entities]
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
        elif content.path.startswith(v.IMAGE_DIR + "/"):
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


def error_of(record: TaskRecord) -> str:
    """Return the one line that says why a task failed."""
    failure = record.failure
    if failure is None:
        return "The task failed; no reason is known."
    message = one_line(failure.message) or f"no message ({one_line(failure.kind)})"
    if failure.type and not message.startswith(failure.type.rsplit(".", 1)[-1]):
        return f"{one_line(failure.type).removeprefix('builtins.')}: {message}"
    return message


def _largest(series: TaskSeries | None) -> float | None:
    """Return largest sample of the task's resident memory."""
    column = series.task.columns.get("rss_bytes") if series is not None and series.task is not None else None
    extremes = column.extremes() if column is not None else None
    return extremes[1] if extremes is not None else None
