"""Why an input schema is none: JSON Schema, draft 2020-12 (https://json-schema.org/draft/2020-12/json-schema-core).

Nothing is fetched: a reference must lead to a place in the schema itself, or to a schema of the drafts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prov_worker.flow.source import Steps
from prov_worker.humanize import clipped

#: Resolves references at one place of a schema; ``referencing`` has no public name for its type.
Resolver = Any
#: Key words with a schema, with a list of them, and with schemas by name.
_INNER = ("additionalProperties", "unevaluatedProperties", "propertyNames", "items", "unevaluatedItems", "contains")
_SAME = ("not", "if", "then", "else")
_LISTS = ("allOf", "anyOf", "oneOf")
_NAMED = ("properties", "patternProperties", "dependentSchemas", "$defs", "definitions")
_REFERENCES = ("$ref", "$dynamicRef")
_ENDLESS = "refers to itself without end"
_DEEP = "is nested too deeply"
#: Characters of a message, which may quote a part of the schema.
_LONGEST = 200


def problems_of(schema: Any) -> list[tuple[Steps, str]]:
    """Return places and messages; empty if it is a schema that can be applied."""
    if not isinstance(schema, Mapping):
        return [((), "not a JSON Schema of an input: expected an object")]
    from jsonschema import Draft202012Validator, FormatChecker

    checker = Draft202012Validator(Draft202012Validator.META_SCHEMA, format_checker=FormatChecker(["regex"]))
    try:
        problems: list[tuple[Steps, str]] = []
        for problem in checker.iter_errors(schema):
            message = f"{problem.instance!r} is not a regular expression"
            if problem.validator != "format":
                message = problem.message
            problems.append((tuple(problem.absolute_path), f"not a JSON Schema: {clipped(message, _LONGEST)}"))
        return problems or list(_references(schema))
    except RecursionError:
        return [((), f"not a JSON Schema: {_DEEP}")]


def why_not(error: Exception) -> str:
    """Return why a schema without problems cannot be applied to an input."""
    if isinstance(error, RecursionError):
        return f"cannot be applied: it {_ENDLESS}, or the input {_DEEP}"
    return f"cannot be applied: {clipped(str(error), _LONGEST)}"


def registry() -> Any:
    """Return the schemas of the drafts, by their ids: all that a reference may lead to beside the schema itself."""
    from jsonschema_specifications import REGISTRY

    return REGISTRY


def _references(schema: Mapping[str, Any]) -> Iterator[tuple[Steps, str]]:
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    root = DRAFT202012.create_resource(schema)
    resolver = registry().resolver_with_root(root)
    ended: set[int] = set()
    for steps, value, here in _schemas(schema, (), resolver):
        for key in _REFERENCES:
            reference = value.get(key)
            if not isinstance(reference, str):
                continue
            try:
                here.lookup(reference)
            except Unresolvable:
                yield (*steps, key), f"leads nowhere in this schema: {clipped(reference, _LONGEST)}; nothing is fetched"
            else:
                if _is_endless(value, here, frozenset(), ended):
                    yield (*steps, key), _ENDLESS


def _schemas(
    value: Mapping[str, Any], steps: Steps, resolver: Resolver
) -> Iterator[tuple[Steps, Mapping[str, Any], Resolver]]:
    """Yield a schema and those in it, with the steps to each, and what resolves its references."""
    from referencing.jsonschema import DRAFT202012

    resolver = resolver.in_subresource(DRAFT202012.create_resource(value)) if steps else resolver
    yield steps, value, resolver
    children: list[tuple[Steps, Any]] = [((key,), value.get(key)) for key in (*_INNER, *_SAME)]
    for key in (*_LISTS, "prefixItems"):
        if isinstance(some := value.get(key), list):
            children += [((key, number), child) for number, child in enumerate(some)]
    for key in _NAMED:
        if isinstance(named := value.get(key), Mapping):
            children += [((key, name), child) for name, child in named.items()]
    for place, child in children:
        if isinstance(child, Mapping):
            yield from _schemas(child, (*steps, *place), resolver)


def _is_endless(value: Any, resolver: Resolver, above: frozenset[int], ended: set[int]) -> bool:
    """Return whether a schema leads back to itself without a step into the value that it is applied to."""
    if not isinstance(value, Mapping) or id(value) in ended:
        return False
    if id(value) in above:
        return True
    above |= {id(value)}
    for key in _REFERENCES:
        if isinstance(reference := value.get(key), str):
            target = resolver.lookup(reference)
            if _is_endless(target.contents, target.resolver, above, ended):
                return True
    same = [value.get(key) for key in _SAME]
    same += [child for key in _LISTS if isinstance(some := value.get(key), list) for child in some]
    if any(_is_endless(child, resolver, above, ended) for child in same):
        return True
    ended.add(id(value))
    return False
