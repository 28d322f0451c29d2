"""The input schema itself: JSON Schema, draft 2020-12, that some input can follow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prov_worker.flow.checks import CHECKS
from prov_worker.flow.findings import ERROR, NOTE, WARNING, Draft
from prov_worker.flow.source import Steps
from prov_worker.flow.states import Flow

#: Key words of JSON Schema that are read as names of properties if they stand one level too deep.
_MISPLACED = ("additionalProperties", "required", "type", "properties")
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(flow: Flow) -> Iterator[Draft]:
    """Yield what is not a schema, what no input can follow, and what is likely to be meant elsewhere."""
    document = flow.schema
    if document is None:
        return
    for steps, message in flow.schema_problems:
        yield Draft(ERROR, document, steps, message)
    if flow.schema_problems or not isinstance(document.value, Mapping):
        return
    dialect = document.value.get("$schema", _DIALECT)
    if isinstance(dialect, str) and dialect.rstrip("#") != _DIALECT:
        yield Draft(NOTE, document, ("$schema",), f"the service reads draft 2020-12, and not {dialect}")
    if document.value.get("type", "object") != "object":
        yield Draft(ERROR, document, ("type",), "the input of a flow is an object")
    for level, place, text in _objects(document.value, ()):
        yield Draft(level, document, place, text)


def _objects(value: Mapping[str, Any], steps: Steps) -> Iterator[tuple[str, Steps, str]]:
    listed = value.get("properties")
    if isinstance(listed, Mapping):
        for key, child in listed.items():
            if key in _MISPLACED and not isinstance(child, Mapping):
                yield (
                    NOTE,
                    (*steps, "properties", key),
                    f"a property of the name {key}: is it meant one level further up?",
                )
            if isinstance(child, Mapping):
                yield from _objects(child, (*steps, "properties", key))
        required = value.get("required")
        for name in required if isinstance(required, list) else ():
            if name in listed:
                continue
            if value.get("additionalProperties") is False and not value.get("patternProperties"):
                message = f"{name!r} is required, and no other than the properties that are listed may be there"
                yield ERROR, (*steps, "required"), message
            else:
                yield WARNING, (*steps, "required"), f"{name!r} is required and not described"
    if isinstance(value.get("items"), Mapping):
        yield from _objects(value["items"], (*steps, "items"))
    for key in ("allOf", "anyOf", "oneOf"):
        for number, branch in enumerate(value[key] if isinstance(value.get(key), list) else ()):
            if isinstance(branch, Mapping) and "properties" in branch and "properties" in value:
                continue  # it adds to what is described around it
            if isinstance(branch, Mapping):
                yield from _objects(branch, (*steps, key, number))


CHECKS.add("schema", schema, rank=80)
