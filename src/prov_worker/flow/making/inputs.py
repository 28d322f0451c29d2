"""Inputs of a spec: as a schema, and as a template of an input."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from prov_worker.flow.making.spec import Spec
from prov_worker.flow.source import Steps

_UUID = {"type": "string", "format": "uuid"}
#: Types beyond those of JSON Schema, and what they are there.
_TYPES: dict[str, dict[str, Any]] = {
    "uuid": _UUID,
    "collection": {
        "type": "object",
        "format": "globus-collection",
        "required": ["id", "path"],
        "properties": {"id": _UUID, "path": {"type": "string"}},
        "additionalProperties": False,
    },
    "principal": {
        "type": "object",
        "format": "globus-principal",
        "required": ["id", "type"],
        "properties": {"id": _UUID, "type": {"type": "string", "enum": ["identity", "group"]}},
        "additionalProperties": False,
    },
    **{kind: {"type": kind} for kind in ("string", "number", "integer", "boolean", "object", "array")},
}
#: A type's key words are taken as they are; these are ours.
_OWN = ("type", "optional")


def schema_of(spec: Spec) -> dict[str, Any]:
    """Return the schema of the input: ``{"input": {…}}`` with each input, all required that are not optional."""
    entries = {name: _schema(spec, value, ("inputs", name)) for name, value in spec.inputs.items()}
    required = [name for name, value in spec.inputs.items() if not _is_optional(value)]
    inner: dict[str, Any] = {"type": "object", "properties": entries, "additionalProperties": False}
    if required:
        inner["required"] = required
    return {
        "type": "object",
        "required": ["input"],
        "properties": {"input": inner},
        "additionalProperties": False,
    }


def _is_optional(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("optional") is True


def kind_of(value: Any) -> Any:
    """Return the type of an input as it is written."""
    return value.get("type") if isinstance(value, Mapping) else value


def _schema(spec: Spec, value: Any, place: Steps) -> dict[str, Any]:
    kind = kind_of(value)
    if not isinstance(kind, str) or kind not in _TYPES:
        raise spec.refuse(place, f"type {kind!r}: expected one of {', '.join(_TYPES)}")
    rest = {key: child for key, child in value.items() if key not in _OWN} if isinstance(value, Mapping) else {}
    if isinstance(rest.get("items"), str):
        if rest["items"] not in _TYPES:
            raise spec.refuse((*place, "items"), f"type {rest['items']!r}: expected one of {', '.join(_TYPES)}")
        rest["items"] = _TYPES[rest["items"]]
    if isinstance(value, Mapping) and not isinstance(value.get("optional", False), bool):
        raise spec.refuse((*place, "optional"), "expected true or false")
    return {**_TYPES[kind], **rest}


def template_of(spec: Spec) -> str:
    """Return a Jinja template of an input: defaults, and a variable for what has none.

    ``prov-worker trigger --input`` fills it in for each folder.
    """
    lines = []
    for name, value in spec.inputs.items():
        default = value.get("default") if isinstance(value, Mapping) else None
        if default is not None:
            text = json.dumps(default, ensure_ascii=False)
        elif kind_of(value) in ("collection", "principal"):
            parts = _TYPES[str(kind_of(value))]["required"]
            text = "{" + ", ".join(f'"{part}": {{{{ {name}_{part} | tojson }}}}' for part in parts) + "}"
        elif _is_optional(value):
            continue
        else:
            text = f"{{{{ {name} | tojson }}}}"
        lines.append(f'    "{name}": {text}')
    body = ",\n".join(lines)
    return '{\n  "input": {\n' + body + ("\n" if body else "") + "  }\n}\n"
