"""Entities: their ids, references and values."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from prov_worker.crate import vocabulary as v
from prov_worker.crate.graph import reference_ids, types_of
from prov_worker.crate.identifiers import is_absolute
from prov_worker.crate.rules import RULES, Checked
from prov_worker.crate.violations import ERROR, WARNING, Violation

#: Characters that a URI reference cannot hold (RFC 3986); what is not ASCII is let through, as in an IRI.
_UNENCODED = re.compile(r"[\x00-\x20<>\"{}|\\^`]")
_TIMES = {"startTime", "endTime", "datePublished", "dateCreated", "dateModified", "sdDatePublished"}
_ISO_8601 = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d:\d\d(:\d\d([.,]\d+)?)?(Z|[+-]\d\d(:?\d\d)?)?)?)?)?")


def unique_ids(crate: Checked) -> Iterator[Violation]:
    """Refuse two entities with one id."""
    seen: set[str] = set()
    for entity in crate.graph:
        if entity["@id"] in seen:
            yield Violation(ERROR, "duplicate-id", entity["@id"], "more than one entity has this id")
        seen.add(entity["@id"])


def property_values(crate: Checked) -> Iterator[Violation]:
    """Refuse null, and text in place of a reference."""
    for entity in crate.graph:
        for key, value in entity.items():
            where = f"{entity['@id']}.{key}"
            members = value if isinstance(value, list) else [value]
            if any(member is None for member in members):
                yield Violation(ERROR, "null", where, "null says nothing in JSON-LD: the property must be left out")
            if key in v.REFERENCE_PROPERTIES and not all(
                _is_reference(member) for member in members if member is not None
            ):
                yield Violation(ERROR, "not-a-reference", where, 'expected {"@id": …} or a list of such')


def _is_reference(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"@id"} and isinstance(value["@id"], str)


def references(crate: Checked) -> Iterator[Violation]:
    """Refuse references to entities that are not there."""
    ids = {entity["@id"] for entity in crate.graph}
    for entity in crate.graph:
        for key, value in entity.items():
            for target in reference_ids(value):
                if target not in ids and not is_absolute(target):
                    yield Violation(ERROR, "dangling", f"{entity['@id']}.{key}", f"no entity {target} in the crate")


def unreferenced(crate: Checked) -> Iterator[Violation]:
    """Warn of entities that nothing refers to."""
    used = {target for entity in crate.graph for value in entity.values() for target in reference_ids(value)}
    for entity in crate.graph:
        if entity["@id"] not in used and entity["@id"] not in (v.METADATA_FILE, "./"):
            yield Violation(WARNING, "unreferenced", entity["@id"], "nothing in the crate refers to this entity")


def encoded_ids(crate: Checked) -> Iterator[Violation]:
    """Refuse ids that are no URI references."""
    for entity in crate.graph:
        if _UNENCODED.search(entity["@id"]):
            yield Violation(
                ERROR, "unencoded-id", entity["@id"], "an id is a URI reference: encode spaces and the like"
            )


def types(crate: Checked) -> Iterator[Violation]:
    """Refuse entities without a type (RO-Crate 1.1, "RO-Crate JSON-LD")."""
    for entity in crate.graph:
        if not types_of(entity):
            yield Violation(ERROR, "no-type", entity["@id"], "an entity has a @type")


def times(crate: Checked) -> Iterator[Violation]:
    """Warn of times that are not in the form of ISO 8601 which schema.org's Date and DateTime have."""
    for entity in crate.graph:
        for key in _TIMES & entity.keys():
            value = entity[key]
            if value is not None and not (isinstance(value, str) and _ISO_8601.fullmatch(value)):
                where = f"{entity['@id']}.{key}"
                yield Violation(WARNING, "time", where, f"expected such as 2026-11-20T14:30:00+00:00, got {value!r}")


RULES.add("unique-ids", unique_ids)
RULES.add("types", types)
RULES.add("times", times)
RULES.add("property-values", property_values)
RULES.add("references", references)
RULES.add("unreferenced", unreferenced)
RULES.add("encoded-ids", encoded_ids)
