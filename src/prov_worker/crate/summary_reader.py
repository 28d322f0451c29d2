"""Reads the summary of a step crate from the entities of its metadata."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime, timezone
from typing import Any

from prov_worker import accelerators, schedulers
from prov_worker.crate import vocabulary as v
from prov_worker.crate.graph import Entity, content_size, entities_of, reference_ids, types_of
from prov_worker.crate.identifiers import is_absolute, local_path
from prov_worker.crate.reader import StepCrate
from prov_worker.crate.software import plain_version
from prov_worker.crate.sources import Source, read
from prov_worker.crate.summary import GENERATED, USED, FileRef, RunStep, StepValue, integer, number
from prov_worker.errors import blaming
from prov_worker.model import FAILED

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_GPU_USAGE = re.compile(r"gpu-(.+)-(memory-max|max|mean)\Z")
_GPU_COMPONENT = "#hardware-gpu-"
_GPU = re.compile(_GPU_COMPONENT + r"[^-]+(-\d+)?\Z")
_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?\Z")


def open_step(source: Source, *, strict: bool = True) -> tuple[RunStep, StepCrate]:
    """Read one step crate.

    Args:
        source: the crate.
        strict: as of :func:`prov_worker.crate.graph.graph_of`.

    Raises:
        CrateError: names the file, and the key if there is one, of whatever is missing or wrong.
    """
    with blaming(source.where):
        data = read(source, v.METADATA_FILE)
        crate = StepCrate(source, entities_of(source, data, strict=strict))
        return step_of(crate, data), crate


def step_of(crate: StepCrate, metadata: bytes) -> RunStep:
    """Return the facts of one step.

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
        cpu_s=number(usage.get("cpu")),
        peak_rss_bytes=integer(usage.get("peak-rss")),
        cpu_max_percent=number(usage.get("cpu-max")),
        cpu_mean_percent=number(usage.get("cpu-mean")),
        function=crate.function_name,
        function_id=function["@id"],
        function_doc=crate.function_doc,
        endpoint_id=crate.endpoint_id,
        host=crate.host,
        read_bytes=integer(usage.get("read-bytes")),
        written_bytes=integer(usage.get("written-bytes")),
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
    """Read how a step belongs to others, and what libraries report of it."""
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
                name, content = (member or {}).get("name"), (member or {}).get("value")
                if member is None or not isinstance(name, str):
                    continue
                if member.get("propertyID") == v.ML_PARAMETER:
                    step.hyperparameters.setdefault(name, str(content))
                elif member.get("propertyID") == v.ML_METRIC and (metric := number(content)) is not None:
                    step.metrics.setdefault(name, metric)


def _value(crate: StepCrate, identifier: str) -> Any:
    entity = crate.entities.get(identifier)
    return None if entity is None else entity.get("value")


def _text(value: Any) -> str | None:
    return str(value) if isinstance(value, (str, int, float)) and value != "" else None


def _nanoseconds(crate: StepCrate) -> tuple[int | None, int]:
    """Start and end; to the nanosecond if the crate has them so."""
    start = integer(_value(crate, "#start-ns"))
    if start is None and crate.start is not None:
        start = _since_epoch(crate.start)
    end = integer(_value(crate, "#end-ns"))
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
    step.pid = integer(_value(crate, "#worker-pid"))
    step.thread = integer(_value(crate, "#worker-thread"))
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
    step.scheduler_job = schedulers.job_id(step.environment) if step.environment else None


def _count(affinity: str | None) -> int | None:
    """Return number of CPUs in a list as in cpuset(7)."""
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
    step.node_cpus = integer(_value(crate, "#hardware-cpu-logical"))
    total = integer(_value(crate, "#hardware-ram-total"))
    limit = integer(_value(crate, "#hardware-ram-cgroup-limit"))
    step.node_memory_total_bytes = total
    step.node_memory_bytes = min(total, limit) if total is not None and limit else total
    cpu = crate.entities.get(v.CPU_COMPONENT)
    step.cpu_model = _text(cpu.get("model")) if cpu else None
    devices: list[tuple[str | None, str | None, bool]] = []
    for identifier in [name for name in crate.entities if name.startswith(_GPU_COMPONENT)]:
        entity = crate.entities[identifier]
        if _GPU.match(identifier) and "HardwareComponent" in types_of(entity):
            model = _text(entity.get("model"))
            is_part = _value(crate, f"{identifier}-mig") is True
            devices.append((_text(_value(crate, f"{identifier}-vendor")), model, is_part))
            step.node_gpus += not is_part
            step.gpu_model = step.gpu_model or model
    step.gpus = accelerators.node_gpus(devices)
    visible = accelerators.visible(step.environment, step.gpus)
    step.gpus_visible = None if visible is None else len(visible)


def _gpus(step: RunStep) -> None:
    kinds = {"max": step.gpu_max_percent, "mean": step.gpu_mean_percent, "memory-max": step.gpu_memory_max_bytes}
    for key, value in step.usage.items():
        if not key.startswith("gpu-"):
            continue
        match = _GPU_USAGE.match(key)
        figure = number(value)
        if match is not None and figure is not None:
            kinds[match[2]][match[1]] = figure


def _software(step: RunStep, crate: StepCrate, function: Entity) -> None:
    for identifier in (
        *reference_ids(function.get("programmingLanguage")),
        *reference_ids(function.get("softwareRequirements")),
    ):
        entity = crate.entities.get(identifier, {})
        name, version = entity.get("name"), entity.get("version")
        if isinstance(name, str) and isinstance(version, str):
            step.versions["python" if name == "Python" else name] = plain_version(version)
    bill = _value(crate, v.SOFTWARE_BILL)
    step.software_sha256 = bill if isinstance(bill, str) and _SHA256.match(bill) else None


def _data(step: RunStep, crate: StepCrate) -> None:
    """Read arguments, results, files and annotations."""
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
        length=integer(entity.get("numberOfItems")),
        sha256=_digest(entity),
        recorded=recorded,
    )
