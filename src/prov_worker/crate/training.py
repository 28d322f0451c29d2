"""What libraries report of a task: runs of experiment trackers, models, and steps of other libraries.

PropertyValues whose ``propertyID`` is a name of ML Schema; what belongs to a run or a model is its ``valueReference``.
All values of all metrics are in ``data/training.json`` (:class:`prov_worker.training.Training`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from prov_worker.crate import vocabulary as v
from prov_worker.crate.entities import entity, references
from prov_worker.crate.graph import read_json
from prov_worker.crate.json_text import clean, encode, finite, one_line, safe_name, urn, utc
from prov_worker.crate.property_values import Facts
from prov_worker.crate.sources import Source
from prov_worker.errors import CrateError
from prov_worker.model import Part
from prov_worker.training import Metric, Training

#: Runs and models that are described in the metadata, and of each so many parameters and metrics; the file has all.
MAX_RUNS, MAX_VALUES = 50, 100


def training_file(training: Training) -> bytes:
    """Return the content of ``data/training.json``."""
    return f"{encode(finite(training.to_dict()))}\n".encode()


def training_of(source: Source) -> Training:
    """Return what ``data/training.json`` of a crate says.

    Raises:
        CrateError: it is missing, or has another shape.
    """
    try:
        return Training.from_dict(read_json(source, v.TRAINING_FILE))
    except (ValueError, json.JSONDecodeError) as error:
        raise CrateError(f"{source.where}/{v.TRAINING_FILE}", str(error)) from None


def training_facts(training: Training, taken: set[str]) -> Facts:
    """Return what the metadata says of runs and models."""
    facts = Facts(taken)
    for run in training.runs[:MAX_RUNS]:
        tracked: list[tuple[str, str, Any, str | None, str | None]] = [
            ("status", "status", run.status, None, None),
            ("experiment", "experiment", run.experiment, None, None),
            ("parent", "run that it is a child of", run.parent, None, None),
            ("artifacts", "artefacts", run.artifacts, None, None),
            ("source", "store", run.source, None, None),
            ("start", "start", None if run.start_ns is None else utc(run.start_ns), None, None),
            ("end", "end", None if run.end_ns is None else utc(run.end_ns), None, None),
        ]
        tracked += [
            (f"parameter-{name}", name, value, v.ML_PARAMETER, None)
            for name, value in list(run.parameters.items())[:MAX_VALUES]
        ]
        tracked += [
            (
                f"metric-{metric.name}",
                metric.name,
                metric.last,
                v.ML_METRIC,
                _extent(metric),
            )
            for metric in run.metrics[:MAX_VALUES]
        ]
        description = f"Run that {run.tool} tracked" + (f": {one_line(run.name, 200)}" if run.name else "")
        _add(facts, "run", one_line(run.id, 300), one_line(run.name or run.id, 200), v.ML_RUN, description, tracked)
    for model in training.models[:MAX_RUNS]:
        characteristics: list[tuple[str, str, Any, str | None, str | None]] = [
            ("library", "library", model.library, v.ML_CHARACTERISTIC, None),
            ("optimizer", "optimizer", model.optimizer, v.ML_CHARACTERISTIC, None),
            ("steps", "steps of the optimizer", model.steps, v.ML_CHARACTERISTIC, None),
            ("step-seconds", "mean seconds of a step", model.step_seconds, v.ML_CHARACTERISTIC, None),
            ("parameters", "parameters", model.parameters, v.ML_CHARACTERISTIC, None),
            ("trainable", "trainable parameters", model.trainable, v.ML_CHARACTERISTIC, None),
            ("dtypes", "types of the parameters", ", ".join(model.dtypes) or None, v.ML_CHARACTERISTIC, None),
            ("devices", "devices of the parameters", ", ".join(model.devices) or None, v.ML_CHARACTERISTIC, None),
        ]
        name = one_line(model.name or "unnamed model", 200)
        _add(facts, "model", name, name, v.ML_MODEL, f"Model that {model.library} trained", characteristics)
    for name, value in sorted(training.conditions.items()):
        facts.add(f"#condition-{safe_name(name)}", one_line(name, 200), value, property_id=v.CONDITION)
    for device, size in sorted(training.peak_device_bytes.items()):
        label = f"most memory of {one_line(device, 100)} that tensors took"
        facts.add(f"#device-memory-{safe_name(device)}", label, size, "byte", v.NAMESPACE + "peakDeviceMemory")
    return facts


def part_facts(part: Part | None, taken: set[str]) -> Facts:
    """Return how a step belongs to others."""
    facts = Facts(taken)
    if part is not None:
        library = one_line(part.library, 100)
        facts.add("#part-key", f"key of the step in {library}", clean(part.key, 1000), property_id=v.PART_KEY)
        if part.of is not None:
            facts.add("#part-of", "task that this step is a part of", urn(part.of), property_id=v.PART_OF)
        for key, step in _paired(part):
            name = f"step whose result it takes: {one_line(key, 200)}"
            facts.add(f"#needs-{safe_name(key)}", name, urn(step), property_id=v.NEEDS)
    return facts


def _paired(part: Part) -> Iterable[tuple[str, str]]:
    return zip(part.needs[:MAX_VALUES], part.steps[:MAX_VALUES], strict=False)


def _extent(metric: Metric) -> str:
    values = f"The last of {metric.count} values" if metric.count != 1 else "The only value"
    return values if metric.low is None else f"{values}, {metric.low:g} to {metric.high:g}"


def _add(
    facts: Facts,
    kind: str,
    value: str,
    name: str,
    property_id: str,
    description: str,
    values: Iterable[tuple[str, str, Any, str | None, str | None]],
) -> None:
    """Add a run or a model, and what belongs to it."""
    identifier = facts.reserve(f"#{kind}-{safe_name(value)}")
    own = Facts(facts.taken)
    for suffix, label, member, member_property, text in values:
        own.add(f"{identifier}-{safe_name(suffix)}", one_line(label, 200), member, None, member_property, text)
    body = {
        "name": name,
        "value": value,
        "propertyID": property_id,
        "description": description,
        "subjectOf": {"@id": v.TRAINING_FILE},
        "valueReference": references(own.ids),
    }
    facts.entities += [entity(identifier, "PropertyValue", body), *own.entities]
