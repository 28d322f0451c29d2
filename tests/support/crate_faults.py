"""Faults of step crates that a validator has to see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Entities = dict[str, dict[str, Any]]
Fault = Callable[[Entities], Any]


def action_with(**values: Any) -> Fault:
    """Return a fault: the crate's action has these values."""
    return lambda entities: entities["#distributed_step"].update(values)


def _without_property(identifier: str, key: str) -> Fault:
    return lambda entities: entities[identifier].pop(key)


def _relative_function(entities: Entities) -> None:
    function = entities["#distributed_step"]["instrument"]["@id"]
    entities["#function"] = {**entities.pop(function), "@id": "#function"}
    entities["#distributed_step"]["instrument"] = {"@id": "#function"}
    entities["function/source.py"]["about"] = {"@id": "#function"}


def _result_no_data(entities: Entities) -> None:
    entities["#distributed_step"]["result"] = {"@id": "#hardware-cpu"}


def _environment_no_value(entities: Entities) -> None:
    entities["#distributed_step"]["environment"] = {"@id": "#hardware-cpu"}


def _missing_file(entities: Entities) -> None:
    entities["data/none.json"] = {**entities["data/hardware.json"], "@id": "data/none.json"}
    entities["./"]["hasPart"].append({"@id": "data/none.json"})


#: Fault and the rule of the validator that sees it.
FAULTS: dict[str, tuple[Fault, str]] = {
    "no instrument": (_without_property("#distributed_step", "instrument"), "process-run-crate-0.5_1.1"),
    "time with Z": (action_with(startTime="2026-11-20T23:26:55.565Z"), "process-run-crate-0.5_8.5"),
    "end with Z": (action_with(endTime="2026-11-20T23:26:56.565Z"), "process-run-crate-0.5_8.4"),
    "microseconds": (action_with(endTime="2026-11-20T23:26:56.565123+00:00"), "process-run-crate-0.5_8.4"),
    "negative offset": (action_with(endTime="2026-11-20T17:26:56.565-06:00"), "process-run-crate-0.5_8.4"),
    "status as reference": (
        action_with(actionStatus={"@id": "http://schema.org/CompletedActionStatus"}),
        "process-run-crate-0.5_8.7",
    ),
    "relative id of the function": (_relative_function, "process-run-crate-0.5_5.1"),
    "result that is no data": (_result_no_data, "process-run-crate-0.5_10.1"),
    "no result": (_without_property("#distributed_step", "result"), "process-run-crate-0.5_11.1"),
    "error on a completed action": (action_with(error="boom"), "process-run-crate-0.5_9.0"),
    "environment that is no PropertyValue": (_environment_no_value, "process-run-crate-0.5_8.8"),
    "missing file": (_missing_file, "ro-crate-1.1_12.1"),
    "undefined term": (action_with(lscpu="x"), "ro-crate-1.1_3.1"),
    "nested object": (action_with(step={"@type": "HowToStep", "name": "n"}), "ro-crate-1.1_3.3"),
    "no licence": (_without_property("./", "license"), "ro-crate-1.1_8.3"),
    "no conformsTo": (_without_property("./", "conformsTo"), "process-run-crate-0.5_2.1"),
    "no mentions": (_without_property("./", "mentions"), "process-run-crate-0.5_8.1"),
}
