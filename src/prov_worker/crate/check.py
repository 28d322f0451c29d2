"""Judges step crates: the product's own checks, for what the community's validator does not look at.

The validator of the community (roc-validator, run by :mod:`prov_worker.crate.validator.client`) does not notice text
where a reference belongs, references to nothing, wrong hashes and sizes, times that run backwards, a step without
position, duplicate ids, NaN, null, entities that nothing refers to, and spaces in ids. Those are checked here, on the
standard library.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from prov_worker.crate import vocabulary as v
from prov_worker.crate.findings import ERROR, WARNING, Finding
from prov_worker.crate.reader import Entity, StepCrate, load_graph, open_regular, read_json, reference_ids, types_of
from prov_worker.crate.validator.client import (
    ProfileValidator,
    find_validator,
    install_validator,
    validate_profiles,
)
from prov_worker.errors import CrateError

__all__ = [
    "ERROR",
    "WARNING",
    "Finding",
    "ProfileValidator",
    "check_crate",
    "check_files",
    "find_validator",
    "install_validator",
    "validate_profiles",
]

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
#: Characters that a URI reference cannot hold (RFC 3986); what is not ASCII is let through, as in an IRI.
_UNENCODED = re.compile(r"[\x00-\x20<>\"{}|\\^`]")
_BLOCK = 1 << 20


def check_crate(path: Path | str) -> list[Finding]:
    """Run the product's own checks on one step crate.

    Returns:
        What was found, sorted; empty for a sound crate. A crate that cannot be read is one finding, no exception.
    """
    path = Path(path)
    try:
        graph = load_graph(path)
    except CrateError as error:
        return [Finding(ERROR, "unreadable", str(path / v.METADATA_FILE), str(error))]
    findings = [
        *_json_constants(path),
        *_duplicates(graph),
        *_values(graph),
        *_references(graph),
        *_unreferenced(graph),
        *_ids(graph),
        *_files(path, graph),
        *_action(path, graph),
    ]
    return sorted(set(findings), key=lambda one: (one.level, one.rule, one.where, one.message))


def check_files(path: Path | str) -> list[Finding]:
    """Compare a crate's files with their sizes and hashes in its metadata, and nothing else.

    Returns:
        What is wrong, sorted; empty where each file is as its crate says. Files that it does not list are no finding.
    """
    path = Path(path)
    try:
        graph = load_graph(path)
    except CrateError as error:
        return [Finding(ERROR, "unreadable", str(path / v.METADATA_FILE), str(error))]
    return sorted((one for one in _files(path, graph) if one.level == ERROR), key=lambda one: (one.rule, one.where))


def _json_constants(path: Path) -> Iterator[Finding]:
    """NaN and infinities: no JSON, though many parsers take them. In the data files as well."""
    for file in [path / v.METADATA_FILE, *sorted((path / "data").glob("*.json"))]:
        found: list[str] = []
        try:
            read_json(file, found.append)
        except CrateError as error:
            yield Finding(ERROR, "unreadable", file.name, str(error).removeprefix(f"{file}: "))
        for constant in sorted(set(found)):
            yield Finding(ERROR, "not-json", file.name, f"{constant} is no JSON value")


def _duplicates(graph: list[Entity]) -> Iterator[Finding]:
    seen: set[str] = set()
    for entity in graph:
        if entity["@id"] in seen:
            yield Finding(ERROR, "duplicate-id", entity["@id"], "more than one entity has this id")
        seen.add(entity["@id"])


def _values(graph: list[Entity]) -> Iterator[Finding]:
    for entity in graph:
        for key, value in entity.items():
            where = f"{entity['@id']}.{key}"
            members = value if isinstance(value, list) else [value]
            if any(one is None for one in members):
                yield Finding(ERROR, "null", where, "null says nothing in JSON-LD: the property must be left out")
            if key in v.REFERENCE_PROPERTIES and not all(_is_reference(one) for one in members if one is not None):
                yield Finding(ERROR, "not-a-reference", where, 'expected {"@id": …} or a list of such')


def _is_reference(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"@id"} and isinstance(value["@id"], str)


def _references(graph: list[Entity]) -> Iterator[Finding]:
    ids = {entity["@id"] for entity in graph}
    for entity in graph:
        for key, value in entity.items():
            for target in reference_ids(value):
                if target not in ids and not _SCHEME.match(target):
                    yield Finding(ERROR, "dangling", f"{entity['@id']}.{key}", f"no entity {target} in the crate")


def _unreferenced(graph: list[Entity]) -> Iterator[Finding]:
    used = {target for entity in graph for value in entity.values() for target in reference_ids(value)}
    for entity in graph:
        if entity["@id"] not in used and entity["@id"] not in (v.METADATA_FILE, "./"):
            yield Finding(WARNING, "unreferenced", entity["@id"], "nothing in the crate refers to this entity")


def _ids(graph: list[Entity]) -> Iterator[Finding]:
    for entity in graph:
        if _UNENCODED.search(entity["@id"]):
            yield Finding(ERROR, "unencoded-id", entity["@id"], "an id is a URI reference: encode spaces and the like")


def _files(path: Path, graph: list[Entity]) -> Iterator[Finding]:
    listed = {v.METADATA_FILE}
    for entity in graph:
        identifier = entity["@id"]
        if "File" not in types_of(entity) or _SCHEME.match(identifier):
            continue
        relative = unquote(identifier)
        if relative.startswith("/") or ".." in relative.split("/"):
            yield Finding(ERROR, "outside", identifier, "a file of a crate lies inside it")
            continue
        listed.add(relative)
        yield from _file(path / relative, entity)
    for parent, directories, names in os.walk(path):
        directories.sort()
        for name in sorted(names):
            relative = os.path.relpath(os.path.join(parent, name), path)
            if relative not in listed:
                yield Finding(WARNING, "unlisted", relative, "the crate does not list this file")


def _file(path: Path, entity: Entity) -> Iterator[Finding]:
    identifier = entity["@id"]
    digest = hashlib.sha256()
    size = 0
    try:
        with open_regular(path) as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
                size += len(block)
    except OSError as error:
        yield Finding(ERROR, "missing-file", identifier, f"cannot be read: {error.strerror or error}")
        return
    if "contentSize" in entity and entity["contentSize"] != str(size):
        message = f"the crate says {entity['contentSize']!r}, the file has {size} bytes"
        yield Finding(ERROR, "content-size", f"{identifier}.contentSize", message)
    if "sha256" in entity and entity["sha256"] != digest.hexdigest():
        message = f"the crate says {entity['sha256']}, the file has {digest.hexdigest()}"
        yield Finding(ERROR, "sha256", f"{identifier}.sha256", message)


def _action(path: Path, graph: list[Entity]) -> Iterator[Finding]:
    try:
        crate = StepCrate(path, graph)
    except CrateError as error:
        where, _, message = str(error).removeprefix(f"{path / v.METADATA_FILE}: ").partition(": ")
        yield Finding(ERROR, "not-a-step", where, message or str(error))
        return
    action = crate.action
    if crate.start is not None and crate.end < crate.start:
        where = f"{action['@id']}.endTime"
        yield Finding(ERROR, "time-order", where, f"{action['endTime']} is before {action['startTime']}")
    steps = reference_ids(action.get("step"))
    if not steps:
        yield Finding(ERROR, "step", f"{action['@id']}.step", "the execution names no step")
    for identifier in steps:
        position = crate.entities.get(identifier, {}).get("position")
        if position in (None, ""):
            yield Finding(ERROR, "step", f"{identifier}.position", "a step has a position")
