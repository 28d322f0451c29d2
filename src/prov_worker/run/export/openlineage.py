"""A run as OpenLineage events: for each attempt a START, and a COMPLETE or a FAIL; the same for the run as a whole.

The events follow the OpenLineage specification 2-0-2 (https://openlineage.io/spec/2-0-2/OpenLineage.json) and its
naming of jobs and datasets (https://openlineage.io/docs/spec/naming). They are written with the classes of
``openlineage-python`` and its ``FileTransport``: one JSON object per line, to be sent on to any OpenLineage backend.

==========================  ==========================================================================================
OpenLineage                 content
==========================  ==========================================================================================
job                         namespace ``globus-compute:<endpoint id>``, name ``<module>.<function>``
run                         the task id for a first attempt; else a UUID that is made of task id and attempt
parent                      the run as a whole: job namespace ``prov-worker``, name of the run
inputs, outputs             files that the attempt used and generated: namespace ``file``, absolute path; a path that is
                            relative to the task's sandbox has the namespace ``prov-worker:<crate>`` instead
``version`` of a dataset    sha256 of the file
``errorMessage``            why the attempt failed, with the traceback
``processing_engine``       Globus Compute and the version of its endpoint
``executionParameters``     arguments whose values were recorded
``sourceCode``              the function, if its source is in the crate
``provWorker_execution``    task id, attempt, host, process, batch job, sha256 of the crate's metadata, and all totals;
                            described by ``docs/schemas/openlineage-execution-1-0-0.json``
==========================  ==========================================================================================
"""

from __future__ import annotations

import hashlib
import math
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from prov_worker import __version__
from prov_worker.crate import vocabulary
from prov_worker.crate.summary import FileRef, RunStep
from prov_worker.errors import CrateError, InputError, MissingExtraError
from prov_worker.files import atomic_write
from prov_worker.humanize import plural
from prov_worker.run.api import RunRecord
from prov_worker.run.export import Advance, chosen_steps, exporter

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, RunEvent

PRODUCER = f"{vocabulary.PACKAGE_URL}prov-worker/{__version__}/"
EXECUTION_SCHEMA = "https://w3id.org/ro/terms/distributed-step/openlineage-execution-1-0-0.json"
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class _Transport(Protocol):
    def emit(self, event: Any) -> Any: ...


@exporter("openlineage", suffix="openlineage.jsonl", counts="events", summary="OpenLineage events, one per line")
def write_openlineage(
    run: RunRecord, target: Path, *, tasks: set[str] | None = None, advance: Advance | None = None
) -> int:
    """Write the run's events. Needs the ``openlineage`` extra."""
    try:
        from openlineage.client.transport.file import FileConfig, FileTransport
    except ImportError as error:
        raise MissingExtraError("openlineage: needs openlineage-python", "openlineage", error) from None
    with atomic_write(target) as path:
        transport = FileTransport(FileConfig(log_file_path=str(path), append=True))
        return _emit(transport, run, target, tasks, advance)


def _emit(transport: _Transport, run: RunRecord, target: Path, tasks: set[str] | None, advance: Advance | None) -> int:
    whole = _Whole(run)
    count = 0
    for step in chosen_steps(run, tasks, advance):
        with run.sparing(step):
            events = list(_step_events(run, step, whole))
            whole.add(step)
            for event in events:
                _send(transport, event, target)
                count += 1
    # The times of the run are those of its steps: they are known last. A reader goes by the times of the events.
    for event in whole.events():
        _send(transport, event, target)
        count += 1
    return count


def _send(transport: _Transport, event: RunEvent, target: Path) -> None:
    try:
        transport.emit(event)
    except RuntimeError as error:  # FileTransport turns whatever went wrong into one
        raise InputError(f"{target}: cannot be written: {error.__cause__ or error}") from error


class _Whole:
    """The run that the steps are part of, which grows step by step."""

    def __init__(self, run: RunRecord) -> None:
        self.name = run.name
        # Of the names of its crates, which hold the task ids: two runs of one name differ, two copies of a run do not.
        names = hashlib.sha256("\0".join(source.key for source in run.sources()).encode()).hexdigest()
        self.run_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{vocabulary.NAMESPACE}run/{self.name}/{names}"))
        self._start_ns: int | None = None
        self._end_ns = 0
        self._latest: dict[str, tuple[int, bool]] = {}

    def add(self, step: RunStep) -> None:
        self._start_ns = min(step.began_ns, self._start_ns if self._start_ns is not None else step.end_ns)
        self._end_ns = max(self._end_ns, step.end_ns)
        self._latest[step.task_id] = max(self._latest.get(step.task_id, (0, False)), (step.attempt, step.failed))

    def parent(self) -> Any:
        from openlineage.client.facet_v2 import parent_run

        return parent_run.ParentRunFacet(
            run=parent_run.Run(runId=self.run_id),
            job=parent_run.Job(namespace="prov-worker", name=self.name),
            root=parent_run.Root(
                run=parent_run.RootRun(runId=self.run_id),
                job=parent_run.RootJob(namespace="prov-worker", name=self.name),
            ),
            producer=PRODUCER,
        )

    def events(self) -> Iterator[RunEvent]:
        from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
        from openlineage.client.facet_v2 import error_message_run, job_type_job

        kind = job_type_job.JobTypeJobFacet("BATCH", "GLOBUS_COMPUTE", "WORKFLOW", producer=PRODUCER)
        job = Job("prov-worker", self.name, facets={"jobType": kind})
        failed = sum(failed for _, failed in self._latest.values())
        facets: dict[str, Any] = {}
        if failed:
            message = f"{failed:,} of {plural(len(self._latest), 'task')} failed"
            facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(message, "PYTHON", producer=PRODUCER)
        begin, end = _moment(self._start_ns or self._end_ns), _moment(self._end_ns)
        yield RunEvent(eventType=RunState.START, eventTime=begin, run=Run(self.run_id), job=job, producer=PRODUCER)
        yield RunEvent(
            eventType=RunState.FAIL if failed else RunState.COMPLETE,
            eventTime=end,
            run=Run(self.run_id, facets=facets),
            job=job,
            producer=PRODUCER,
        )


def run_id(step: RunStep) -> str:
    """Return the OpenLineage run id of an attempt: the task id for a first attempt, else a UUID of its own."""
    if step.attempt == 1:
        try:
            return str(uuid.UUID(step.task_id))
        except ValueError:
            pass  # not a task of Globus Compute
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{vocabulary.NAMESPACE}task/{step.task_id}/{step.attempt}"))


def _step_events(run: RunRecord, step: RunStep, whole: _Whole) -> Iterator[RunEvent]:
    from openlineage.client.event_v2 import Run, RunEvent, RunState

    job = _job(run, step)
    inputs, outputs = _datasets(step)
    start = {"parent": whole.parent(), **_start_facets(step)}
    end: dict[str, Any] = {"parent": whole.parent(), "provWorker_execution": _execution(step)}
    if step.failed:
        end["errorMessage"] = _error(run, step)
    yield RunEvent(
        eventType=RunState.START,
        eventTime=_moment(step.began_ns),
        run=Run(run_id(step), facets=start),
        job=job,
        inputs=inputs,
        producer=PRODUCER,
    )
    yield RunEvent(
        eventType=RunState.FAIL if step.failed else RunState.COMPLETE,
        eventTime=_moment(step.end_ns),
        run=Run(run_id(step), facets=end),
        job=job,
        inputs=inputs,
        outputs=outputs,
        producer=PRODUCER,
    )


def _job(run: RunRecord, step: RunStep) -> Job:
    from openlineage.client.event_v2 import Job
    from openlineage.client.facet_v2 import documentation_job, job_type_job, source_code_job

    facets: dict[str, Any] = {
        "jobType": job_type_job.JobTypeJobFacet("BATCH", "GLOBUS_COMPUTE", "TASK", producer=PRODUCER)
    }
    if step.function_doc:
        facets["documentation"] = documentation_job.DocumentationJobFacet(step.function_doc, producer=PRODUCER)
    source = _text(run, step, vocabulary.SOURCE_FILE)
    if source is not None:
        facets["sourceCode"] = source_code_job.SourceCodeJobFacet("python", source, producer=PRODUCER)
    name = f"{step.module}.{step.function}" if step.module else step.function
    return Job(f"globus-compute:{step.endpoint_id or 'unknown'}", name, facets=facets)


def _start_facets(step: RunStep) -> dict[str, Any]:
    from openlineage.client.facet_v2 import execution_parameters_run, processing_engine_run

    facets: dict[str, Any] = {}
    version = step.versions.get("globus-compute-endpoint") or step.versions.get("globus-compute-sdk")
    if version:
        facets["processing_engine"] = processing_engine_run.ProcessingEngineRunFacet(
            version, "Globus Compute", __version__, producer=PRODUCER
        )
    parameters = [
        execution_parameters_run.ExecutionParameter(argument.name, value=str(argument.value))
        for argument in step.arguments
        if argument.recorded
    ]
    if parameters:
        facets["executionParameters"] = execution_parameters_run.ExecutionParametersRunFacet(
            parameters, producer=PRODUCER
        )
    return facets


def _error(run: RunRecord, step: RunStep) -> Any:
    from openlineage.client.facet_v2 import error_message_run

    return error_message_run.ErrorMessageRunFacet(
        step.error or "failed", "PYTHON", stackTrace=_text(run, step, vocabulary.TRACEBACK_FILE), producer=PRODUCER
    )


def _execution(step: RunStep) -> Any:
    from openlineage.client.generated.base import RunFacet

    facts = {
        "taskId": step.task_id,
        "attempt": step.attempt,
        "crate": step.crate_id,
        "crateMetadataSha256": step.metadata_sha256,
        "functionSha256": step.function_sha256,
        "failureKind": step.failure_kind,
        "host": step.host,
        "processId": step.pid,
        "block": step.block,
        "batchJob": step.scheduler_job,
        "container": step.container,
        # NaN and infinity are not JSON.
        "totals": {
            key: value for key, value in step.usage.items() if not isinstance(value, float) or math.isfinite(value)
        },
    }
    facet = RunFacet(producer=PRODUCER).with_additional_properties(
        **{key: value for key, value in facts.items() if value is not None}
    )
    facet._schemaURL = EXECUTION_SCHEMA
    return facet


def _datasets(step: RunStep) -> tuple[list[InputDataset], list[OutputDataset]]:
    from openlineage.client.event_v2 import InputDataset, OutputDataset
    from openlineage.client.facet_v2 import output_statistics_output_dataset

    inputs, outputs = [], []
    for file in step.files:
        namespace, name = _dataset_name(step, file)
        if file.role == "used":
            inputs.append(InputDataset(namespace, name, facets=_version(file)))
            continue
        statistics: dict[str, Any] = {}
        if file.size_bytes is not None:
            statistics["outputStatistics"] = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
                size=file.size_bytes, fileCount=1, producer=PRODUCER
            )
        outputs.append(OutputDataset(namespace, name, facets=_version(file), outputFacets=statistics))
    return inputs, outputs


def _dataset_name(step: RunStep, file: FileRef) -> tuple[str, str]:
    # A shared file system has one path on all nodes: the host is not part of the name.
    if Path(file.path).is_absolute():
        return "file", file.path
    return f"prov-worker:{step.key}", file.path


def _version(file: FileRef) -> dict[str, Any]:
    from openlineage.client.facet_v2 import dataset_version_dataset

    if file.sha256 is None:
        return {}
    return {"version": dataset_version_dataset.DatasetVersionDatasetFacet(f"sha256:{file.sha256}", producer=PRODUCER)}


def _text(run: RunRecord, step: RunStep, path: str) -> str | None:
    try:
        return run.read(step, path).decode("utf-8", "replace")
    except CrateError:
        return None  # most crates have no such file


def _moment(time_ns: int) -> str:
    """Return a time as RFC 3339 with microseconds."""
    moment = _EPOCH + timedelta(microseconds=time_ns // 1000)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
