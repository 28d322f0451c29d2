"""The summary of a step crate: one attempt at one task in a few fields, read from its crate.

Units are in the names, as in :mod:`prov_worker.model`. A summary is plain data; the crate stays the truth.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from prov_worker import accelerators, schedulers
from prov_worker.counters import Counter
from prov_worker.crate import vocabulary as v
from prov_worker.crate.graph import Entity, content_size, graph_of, reference_ids, types_of
from prov_worker.crate.identifiers import is_absolute, local_path
from prov_worker.crate.reader import StepCrate
from prov_worker.crate.software import plain_version
from prov_worker.crate.sources import Source, read
from prov_worker.errors import blaming
from prov_worker.model import FAILED, AttemptId

GENERATED = "generated"
USED = "used"
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_GPU_USAGE = re.compile(r"gpu-(.+)-(memory-max|max|mean)\Z")
_GPU = re.compile(r"#hardware-gpu-[^-]+(-\d+)?\Z")
_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?\Z")


@dataclass(slots=True)
class StepValue:
    """An argument or a result, as its crate describes it.

    Attributes:
        id: of the entity in the step crate, such as ``#input-n``.
        name: parameter name, or ``return``.
        value: number, boolean or text; where the value was not recorded, a stand-in such as ``<int>``.
        type: qualified type name; None where the crate does not say.
        size_bytes: size of the data.
        length: number of items.
        sha256: hex digest of the data.
        recorded: false where ``value`` is a stand-in.
    """

    id: str
    name: str
    value: str | int | float | bool | None = None
    type: str | None = None
    size_bytes: int | None = None
    length: int | None = None
    sha256: str | None = None
    recorded: bool = True


@dataclass(slots=True)
class FileRef:
    """A file that a step used or generated, in its crate or by reference.

    Attributes:
        id: of the entity in the step crate.
        path: path in the crate, or as the step named it.
        role: ``used`` or ``generated``.
        size_bytes, sha256: None where the crate does not say.
        inside: whether the file lies in the crate.
        declared: whether the step itself said so, rather than the recorder having found the file.
    """

    id: str
    path: str
    role: str
    size_bytes: int | None = None
    sha256: str | None = None
    inside: bool = False
    declared: bool = False


@dataclass(slots=True)
class RunStep:
    """One attempt at one task: what reports, exports and indexes need of it.

    Attributes:
        key: unique in the run, stable: name of the crate without its suffix, ``<task_id>`` or
            ``<task_id>.attempt-N``.
        crate: path of the step crate, a directory or a zip file; in a zip of several, ``many.zip!task.crate``.
        crate_id: id of the crate in its run, ``steps/<name>.crate/``; the same for a plain directory.
        task_id: Globus Compute task id.
        attempt: number of the attempt, from 1.
        latest: whether no later attempt at the task is known.
        status: ``completed`` or ``failed``.
        error: one line; None for a completed step.
        failure_kind: as of :class:`prov_worker.model.Failure`; None for a completed step.
        failure_type: type of the exception.
        failure_signal: such as ``SIGKILL``.
        start_ns: nanoseconds since the epoch; None if its crate names no start: no worker began the task.
        end_ns: nanoseconds since the epoch.
        wall_s: seconds from start to end.
        cpu_s: CPU seconds of the worker and its children; None where unknown.
        peak_rss_bytes: largest resident memory.
        cpu_max_percent, cpu_mean_percent: of samples; 100 is one logical CPU.
        gpu_max_percent: by GPU (``0``, ``1`` …), largest sample of its use.
        gpu_mean_percent: by GPU, mean of its use.
        gpu_memory_max_bytes: by GPU.
        read_bytes, written_bytes: storage traffic of the worker.
        function: name of the function.
        function_id: absolute id of the function in the crate.
        function_sha256: identifies its code; None where unknown.
        function_doc: description of the function.
        module: module of the function.
        endpoint_id, endpoint_name: of the endpoint that was submitted to; None where the crate does not say.
        user_endpoint_id: of the one that it started for the user; None where there is none.
        host: node; pid, thread, rank, pool, block: of the worker.
        user: account that ran the task.
        cpus_allowed: number of logical CPUs that the worker might use.
        cpu_affinity: these CPUs, as in cpuset(7).
        gpus_visible: number of accelerators that the worker might use; None where no variable restricted them.
        node_cpus: logical CPUs of the node. node_memory_bytes: its memory, the control group's limit where lower.
        node_memory_total_bytes: its memory, whatever the limit.
        node_gpus: number of GPUs of the node. cpu_model, gpu_model: their models.
        environment: recorded environment variables and facts of the scheduler, by name.
        scheduler_job: id of the batch job.
        container: image of the worker.
        versions: of software, by name; ``python`` among them.
        arguments, results: described values.
        files: used and generated.
        annotations: what user code noted, by key.
        notes: remarks of the recorder.
        part_key: what the library calls the step that gave it out, such as the key of a Dask task; None for a task.
        part_of: id of the task that the step is a part of. needs: ids of the steps whose results it takes.
        training_runs: number of runs that experiment trackers know of it.
        hyperparameters, metrics: of its runs, by name: of several runs, the first that has it; the last value of each.
        models: names of the models that it trained.
        samples, samples_expected: how many samples of the task were taken and due; None where none.
        has_series: whether ``data/resource_usage.json`` is there.
        has_plot: whether the crate holds a plot.
        metadata_sha256: of the crate's metadata file.
        metadata_bytes: its size.
        usage: all totals, key to number, as :attr:`prov_worker.crate.reader.StepCrate.usage` has them.
    """

    key: str
    crate: str
    crate_id: str
    task_id: str
    attempt: int
    status: str
    end_ns: int
    function: str
    function_id: str
    latest: bool = True
    error: str | None = None
    failure_kind: str | None = None
    failure_type: str | None = None
    failure_signal: str | None = None
    start_ns: int | None = None
    wall_s: float | None = None
    cpu_s: float | None = None
    peak_rss_bytes: int | None = None
    cpu_max_percent: float | None = None
    cpu_mean_percent: float | None = None
    gpu_max_percent: dict[str, float] = field(default_factory=dict)
    gpu_mean_percent: dict[str, float] = field(default_factory=dict)
    gpu_memory_max_bytes: dict[str, float] = field(default_factory=dict)
    read_bytes: int | None = None
    written_bytes: int | None = None
    function_sha256: str | None = None
    function_doc: str | None = None
    module: str | None = None
    endpoint_id: str | None = None
    endpoint_name: str | None = None
    user_endpoint_id: str | None = None
    host: str | None = None
    pid: int | None = None
    thread: int | None = None
    rank: str | None = None
    pool: str | None = None
    block: str | None = None
    user: str | None = None
    cpus_allowed: int | None = None
    cpu_affinity: str | None = None
    gpus_visible: int | None = None
    node_cpus: int | None = None
    node_memory_bytes: int | None = None
    node_memory_total_bytes: int | None = None
    node_gpus: int = 0
    cpu_model: str | None = None
    gpu_model: str | None = None
    environment: dict[str, str] = field(default_factory=dict)
    scheduler_job: str | None = None
    container: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    arguments: list[StepValue] = field(default_factory=list)
    results: list[StepValue] = field(default_factory=list)
    files: list[FileRef] = field(default_factory=list)
    annotations: dict[str, str | int | float | bool] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    part_key: str | None = None
    part_of: str | None = None
    needs: list[str] = field(default_factory=list)
    training_runs: int = 0
    hyperparameters: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    models: list[str] = field(default_factory=list)
    samples: int | None = None
    samples_expected: int | None = None
    has_series: bool = False
    has_plot: bool = False
    metadata_sha256: str | None = None
    metadata_bytes: int | None = None
    usage: dict[str, float | int | str] = field(default_factory=dict)

    @property
    def worker(self) -> str:
        """Name of the worker process: ``<host>/<pid>``, with the thread where tasks share a process."""
        name = f"{self.host or 'unknown'}/{self.pid if self.pid is not None else '?'}"
        return name if self.thread is None else f"{name}/{self.thread}"

    @property
    def began_ns(self) -> int:
        """When it began; its end if its crate names no start."""
        return self.end_ns if self.start_ns is None else self.start_ns

    @property
    def attempt_id(self) -> AttemptId:
        """Which attempt this is."""
        return AttemptId(self.task_id, self.attempt, self.began_ns)

    def counter(self, counter: Counter) -> float | int | None:
        """Return what the attempt used by a counter; None if its crate does not say."""
        value = self.usage.get(counter.key)
        return _integer(value) if counter.kind == "int" else _number(value)

    @property
    def cpu_percent(self) -> float | None:
        """Mean CPU use, 100 is one logical CPU: by CPU time if the worker could count it, else by the samples."""
        if self.cpu_s is not None and self.wall_s:
            return 100 * self.cpu_s / self.wall_s
        return self.cpu_mean_percent

    def figures(self) -> dict[str, Any]:
        """Return what fits into a row of a table of tasks.

        Returns:
            ``status``, ``reason`` (first line of the error, None for a completed attempt), ``seconds``, ``samples``,
            ``cpu_percent`` and ``peak_rss_bytes``; None is not known.
        """
        return {
            "status": self.status,
            "reason": self.error.splitlines()[0] if self.error else None,
            "seconds": self.wall_s,
            "samples": 0 if self.samples is None and not self.has_series else self.samples,
            "cpu_percent": self.cpu_percent,
            "peak_rss_bytes": self.peak_rss_bytes,
        }

    @property
    def failed(self) -> bool:
        """Whether the attempt failed."""
        return self.status != "completed"


def open_step(source: Source, *, strict: bool = True) -> tuple[RunStep, StepCrate]:
    """Read one step crate.

    Args:
        source: the crate.
        strict: as of :func:`prov_worker.crate.graph.graph_of`.

    Raises:
        CrateError: names the file, and the key where there is one, of whatever is missing or wrong.
    """
    with blaming(source.where):
        data = read(source, v.METADATA_FILE)
        crate = StepCrate(source, graph_of(source, data, strict=strict))
        return step_of(crate, data), crate


def step_of(crate: StepCrate, metadata: bytes) -> RunStep:
    """The facts of one step.

    Args:
        crate: the crate, read.
        metadata: content of its metadata file.

    Raises:
        CrateError: the crate names no function, or refers to one that is not there.
    """
    function, key = crate.function, crate.source.key
    usage = {key: value for key, (value, _) in crate.usage.items()}
    start, end = _nanoseconds(crate)
    step = RunStep(
        key=key,
        crate=crate.source.where,
        crate_id=v.step_id(key),
        task_id=crate.task_id,
        attempt=crate.attempt,
        latest=v.split_key(key)[1] is None,
        status=crate.status,
        error=crate.error,
        start_ns=start,
        end_ns=end,
        wall_s=crate.wall_time_s,
        cpu_s=_number(usage.get("cpu")),
        peak_rss_bytes=_integer(usage.get("peak-rss")),
        cpu_max_percent=_number(usage.get("cpu-max")),
        cpu_mean_percent=_number(usage.get("cpu-mean")),
        function=crate.function_name,
        function_id=function["@id"],
        function_doc=crate.function_doc,
        endpoint_id=crate.endpoint_id,
        host=crate.host,
        read_bytes=_integer(usage.get("read-bytes")),
        written_bytes=_integer(usage.get("written-bytes")),
        metadata_sha256=hashlib.sha256(metadata).hexdigest(),
        metadata_bytes=len(metadata),
        usage=usage,
    )
    version = function.get("version")
    if isinstance(version, str) and version.startswith("sha256:"):
        step.function_sha256 = version.removeprefix("sha256:")
    step.module = _text(_value(crate, "#function-module"))
    _failure(step, crate)
    _worker(step, crate)
    _hardware(step, crate)
    _gpus(step)
    _software(step, crate, function)
    _data(step, crate)
    _libraries(step, crate)
    step.notes = crate.notes
    step.samples, step.samples_expected = crate.samples, crate.samples_expected
    step.has_series = v.SERIES_FILE in crate.entities
    step.has_plot = any(file.id.startswith(v.IMAGE_DIR + "/") for file in crate.files)
    return step


def _libraries(step: RunStep, crate: StepCrate) -> None:
    """How a step belongs to others, and what libraries told of it."""
    for entity in crate.properties():
        value = entity.get("value")
        kind = entity.get("propertyID")
        if kind == v.PART_KEY:
            step.part_key = _text(value)
        elif kind == v.PART_OF:
            step.part_of = _text(value.removeprefix("urn:uuid:")) if isinstance(value, str) else None
        elif kind == v.NEEDS and isinstance(value, str):
            step.needs.append(value.removeprefix("urn:uuid:"))
        elif kind == v.ML_MODEL and isinstance(value, str):
            step.models.append(value)
        elif kind == v.ML_RUN:
            step.training_runs += 1
            for member in map(crate.entities.get, reference_ids(entity.get("valueReference"))):
                name, number = (member or {}).get("name"), (member or {}).get("value")
                if member is None or not isinstance(name, str):
                    continue
                if member.get("propertyID") == v.ML_PARAMETER:
                    step.hyperparameters.setdefault(name, str(number))
                elif member.get("propertyID") == v.ML_METRIC and (metric := _number(number)) is not None:
                    step.metrics.setdefault(name, metric)


def _value(crate: StepCrate, identifier: str) -> Any:
    entity = crate.entities.get(identifier)
    return None if entity is None else entity.get("value")


def _text(value: Any) -> str | None:
    return str(value) if isinstance(value, (str, int, float)) and value != "" else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _integer(value: Any) -> int | None:
    try:
        number = None if value is None or isinstance(value, bool) else int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if number is None or abs(number) < 1 << 63 else None  # what tables and databases can hold


def _nanoseconds(crate: StepCrate) -> tuple[int | None, int]:
    """Start and end; to the nanosecond where the crate has them so."""
    start = _integer(_value(crate, "#start-ns"))
    if start is None and crate.start is not None:
        start = _since_epoch(crate.start)
    end = _integer(_value(crate, "#end-ns"))
    return start, _since_epoch(crate.end) if end is None else end


def _since_epoch(moment: datetime) -> int:
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000_000 + delta.microseconds * 1000


def _failure(step: RunStep, crate: StepCrate) -> None:
    if crate.status != FAILED:
        return
    step.failure_kind = _text(_value(crate, "#failure-kind"))
    step.failure_type = _text(_value(crate, "#failure-type"))
    step.failure_signal = _text(_value(crate, "#failure-signal"))


def _worker(step: RunStep, crate: StepCrate) -> None:
    step.endpoint_name = crate.endpoint_name
    step.user_endpoint_id = crate.user_endpoint_id
    step.pid = _integer(_value(crate, "#worker-pid"))
    step.thread = _integer(_value(crate, "#worker-thread"))
    step.rank = _text(_value(crate, "#worker-rank"))
    step.pool = _text(_value(crate, "#worker-pool"))
    step.block = _text(_value(crate, "#worker-block"))
    step.user = _text(_value(crate, "#worker-user"))
    step.container = _text(_value(crate, "#worker-container"))
    step.cpu_affinity = _text(_value(crate, "#worker-cpu-affinity"))
    step.cpus_allowed = _count(step.cpu_affinity)
    for identifier in reference_ids(crate.action.get("environment")):
        if identifier.startswith("#env-"):
            entity = crate.entities.get(identifier, {})
            step.environment[str(entity.get("name", identifier[5:]))] = str(entity.get("value", ""))
    step.scheduler_job = schedulers.job_id(step.environment)
    visible = accelerators.visible(step.environment)
    step.gpus_visible = None if visible is None else len(visible)


def _count(affinity: str | None) -> int | None:
    """Number of CPUs in a list as in cpuset(7)."""
    if not affinity:
        return None
    total = 0
    for part in affinity.split(","):
        match = _RANGE.match(part.strip())
        if match is None:
            return None
        total += int(match[2] or match[1]) - int(match[1]) + 1
    return total


def _hardware(step: RunStep, crate: StepCrate) -> None:
    step.node_cpus = _integer(_value(crate, "#hardware-cpu-logical"))
    total = _integer(_value(crate, "#hardware-ram-total"))
    limit = _integer(_value(crate, "#hardware-ram-cgroup-limit"))
    step.node_memory_total_bytes = total
    step.node_memory_bytes = min(total, limit) if total is not None and limit else total
    cpu = crate.entities.get(v.CPU_COMPONENT)
    step.cpu_model = _text(cpu.get("model")) if cpu else None
    for identifier, entity in crate.entities.items():
        if _GPU.match(identifier) and "HardwareComponent" in types_of(entity):
            step.node_gpus += 1
            step.gpu_model = step.gpu_model or _text(entity.get("model"))


def _gpus(step: RunStep) -> None:
    kinds = {"max": step.gpu_max_percent, "mean": step.gpu_mean_percent, "memory-max": step.gpu_memory_max_bytes}
    for key, value in step.usage.items():
        match = _GPU_USAGE.match(key)
        number = _number(value)
        if match is not None and number is not None:
            kinds[match[2]][match[1]] = number


def _software(step: RunStep, crate: StepCrate, function: Entity) -> None:
    for identifier in (
        *reference_ids(function.get("programmingLanguage")),
        *reference_ids(function.get("softwareRequirements")),
    ):
        entity = crate.entities.get(identifier, {})
        name, version = entity.get("name"), entity.get("version")
        if isinstance(name, str) and isinstance(version, str):
            step.versions["python" if name == "Python" else name] = plain_version(version)


def _data(step: RunStep, crate: StepCrate) -> None:
    """Arguments, results, files and annotations."""
    by_id = {file.id: file for file in crate.files}
    for key, values, role in (("object", step.arguments, USED), ("result", step.results, GENERATED)):
        for identifier in reference_ids(crate.action.get(key)):
            entity = crate.entities.get(identifier)
            if entity is None:
                continue
            if identifier in by_id:
                file = by_id[identifier]
                step.files.append(FileRef(identifier, file.relative, role, file.size_bytes, file.sha256, inside=True))
            elif "File" in types_of(entity) and is_absolute(identifier):
                size, sha256 = content_size(entity), _digest(entity)
                step.files.append(FileRef(identifier, identifier, role, size, sha256, declared=True))
            elif "Dataset" in types_of(entity) and (folder := local_path(identifier)) is not None:
                step.files.append(FileRef(identifier, folder, role, None, None, inside=True))
            elif identifier.startswith(("#output-file-", "#input-file-")) and "additionalType" not in entity:
                step.files.append(_referenced(entity, role))
            else:
                values.append(_described(entity, crate.value_recorded(entity)))
    step.annotations.update(crate.annotations)


def _referenced(entity: Entity, role: str) -> FileRef:
    return FileRef(
        entity["@id"],
        str(entity.get("value", "")),
        role,
        content_size(entity),
        _digest(entity),
        declared=entity.get("propertyID") == v.NAMESPACE + "declaredFile",
    )


def _digest(entity: Entity) -> str | None:
    digest = entity.get("sha256")
    return digest if isinstance(digest, str) and _SHA256.match(digest) else None


def _described(entity: Entity, recorded: bool) -> StepValue:
    value = entity.get("value")
    kind = _text(entity.get("additionalType"))
    return StepValue(
        id=entity["@id"],
        name=str(entity.get("name", entity["@id"])),
        value=value if isinstance(value, (str, int, float, bool)) else None,
        type=kind,
        size_bytes=content_size(entity),
        length=_integer(entity.get("numberOfItems")),
        sha256=_digest(entity),
        recorded=recorded,
    )
