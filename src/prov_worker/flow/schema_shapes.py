"""What an input schema says of the input: the schema as a :class:`~prov_worker.flow.shapes.Shape`.

A property counts as described if ``properties`` lists it, even if the schema lets others pass without a word: a flow
that reads one that is not listed fails on every input that follows the schema's letter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prov_worker.flow.shapes import ANY, Presence, Property, Shape, join, of_value, type_of

_DEEPEST = 12
#: What Globus' web app puts in for these (https://docs.globus.org/api/flows/input-schema/).
_FORMATS = {
    "globus-collection": ("id", "path"),
    "globus-principal": ("id", "type"),
}
_TEXT = Shape(frozenset(("string",)))


def of_schema(schema: Any) -> Shape:
    """Return what is known of a value that follows a schema (JSON Schema 2020-12)."""
    return _of(schema, schema, 0)


def _of(schema: Any, root: Any, depth: int) -> Shape:
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return ANY
    if isinstance(reference := schema.get("$ref"), str):
        return _of(_target(reference, root), root, depth + 1)
    if "const" in schema:
        return of_value(schema["const"])
    shape = _own(schema, root, depth)
    for key in ("anyOf", "oneOf"):
        if isinstance(branches := schema.get(key), list) and branches:
            options = [_of(branch, root, depth + 1) for branch in branches]
            either = options[0]
            for option in options[1:]:
                either = _either(either, option)
            shape = _both(shape, either)
    for branch in schema["allOf"] if isinstance(schema.get("allOf"), list) else ():
        shape = _both(shape, _of(branch, root, depth + 1))
    return shape


def _own(schema: Mapping[str, Any], root: Any, depth: int) -> Shape:
    types = _types(schema)
    listed = schema.get("properties")
    names = _FORMATS.get(str(schema.get("format")), ())
    entries: dict[str, Property] = {}
    required = schema.get("required")
    if isinstance(listed, Mapping):
        for key, child in listed.items():
            presence = Presence.ALWAYS if isinstance(required, list) and key in required else Presence.OPTIONAL
            entries[key] = Property(_of(child, root, depth + 1), Presence.NEVER if child is False else presence)
    for name in names:
        entries.setdefault(name, Property(_TEXT, Presence.ALWAYS))
    for name in required if isinstance(required, list) else ():
        if isinstance(name, str):
            entries.setdefault(name, Property(ANY, Presence.ALWAYS))
    others = schema.get("additionalProperties", not listed)
    closed = (others is False or bool(listed and "additionalProperties" not in schema)) and not (
        schema.get("patternProperties") or (names and not listed)
    )
    items = _of(schema["items"], root, depth + 1) if isinstance(schema.get("items"), Mapping) else None
    if not types and entries:
        types = frozenset(("object",))
    return Shape(types, entries, closed, items)


def _types(schema: Mapping[str, Any]) -> frozenset[str]:
    stated = schema.get("type")
    if isinstance(stated, str):
        return frozenset((stated,))
    if isinstance(stated, list):
        return frozenset(kind for kind in stated if isinstance(kind, str))
    if isinstance(values := schema.get("enum"), list) and values:
        return frozenset(map(type_of, values))
    return frozenset()


def _both(first: Shape, second: Shape) -> Shape:
    """Return what holds of a value that follows two schemas."""
    types = first.types & second.types if first.types and second.types else first.types | second.types
    entries = dict(first.properties)
    for key, entry in second.properties.items():
        mine = entries.get(key)
        entries[key] = entry if mine is None else Property(_both(mine.shape, entry.shape), min(mine[1], entry[1]))
    closed = (first.closed or second.closed) and bool(entries)
    return Shape(types, entries, closed, first.items or second.items)


def _either(first: Shape, second: Shape) -> Shape:
    """Return what holds of a value that follows one of two schemas: what only one requires is optional."""
    joined = join(first, second)
    entries = {
        key: Property(entry.shape, min(entry.presence, Presence.OPTIONAL)) for key, entry in joined.properties.items()
    }
    return Shape(joined.types, entries, joined.closed, joined.items)


def _target(reference: str, root: Any) -> Any:
    """Return what a reference within the schema leads to; nothing is fetched."""
    if not reference.startswith("#"):
        return True
    target = root
    for part in reference[1:].split("/")[1:]:
        part = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(target, Mapping) or part not in target:
            return True
        target = target[part]
    return target
