"""The metadata document of a crate as a graph of entities, read strictly, and the JSON files beside it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

from prov_worker.crate import bounds, identifiers
from prov_worker.crate import vocabulary as v
from prov_worker.crate.entity_lines import EntityLines
from prov_worker.crate.series_json import read_resource_usage
from prov_worker.crate.sources import Source, read
from prov_worker.errors import CrateError
from prov_worker.model import TaskSeries

Entity = dict[str, Any]

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
#: References by id per entity, at most, in the mean.
_MENTIONS = 10


def parse_json(data: bytes) -> Any:
    """Return the value of a JSON text, strictly: no NaN, no infinity and no half of a character.

    Raises:
        ValueError: no such text.
        RecursionError: too many levels.
    """
    text = data.decode("utf-8-sig")
    value = json.loads(text, parse_constant=_no_number, parse_float=_finite)
    if _SURROGATE.search(text):
        json.dumps(value, ensure_ascii=False).encode()  # pairs are characters, single ones have no UTF-8 form
    return value


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:20]} is beyond all numbers")
    return number


def read_json(source: Source, relative: str, parse_constant: Callable[[str], Any] | None = None) -> Any:
    """Return the content of a JSON file of a crate.

    Args:
        source: the crate.
        relative: path of the file in it.
        parse_constant: takes NaN and infinities, as in :func:`json.loads`; None refuses them.

    Raises:
        CrateError: it cannot be read, is larger than any that a crate holds, or no JSON.
    """
    return _json_of(read(source, relative, bounds.MAX_DATA_BYTES), f"{source.where}/{relative}", parse_constant)


def _json_of(data: bytes, where: str, parse_constant: Callable[[str], Any] | None) -> Any:
    try:
        return parse_json(data) if parse_constant is None else json.loads(data, parse_constant=parse_constant)
    except (ValueError, RecursionError) as error:
        raise CrateError(where, f"invalid JSON: {error}") from None


def load_graph(source: Source, *, as_written: bool = False, run: bool = False) -> list[Entity]:
    """Return all entities of a crate, in their order, duplicates included; NaN and infinities are let through.

    Args:
        source: the crate.
        as_written: keep ids as they are; else they are as :func:`prov_worker.crate.identifiers.resolve` gives them.
        run: it is a run crate, which may have more entities than a step.

    Raises:
        CrateError: no directory, no metadata, no JSON, or no graph of entities with ids.
    """
    data = read(source, v.METADATA_FILE, bounds.MAX_RUN_BYTES if run else bounds.MAX_METADATA_BYTES)
    where = f"{source.where}/{v.METADATA_FILE}"
    if as_written:
        return graph_in(_json_of(data, where, float), where)
    return graph_of(source, data, strict=False, run=run)


def graph_of(source: Source, data: bytes, *, strict: bool = True, run: bool = False) -> list[Entity]:
    """Return the entities in the content of a metadata file, with ids as this package writes them.

    Args:
        source: the crate.
        data: the content.
        strict: refuse NaN and infinities, and two entities of one id, of which readers take one or the other.
        run: as of :func:`load_graph`.

    Raises:
        CrateError: no JSON, no graph of entities with ids, or larger than :mod:`prov_worker.crate.bounds` allows.
    """
    where = f"{source.where}/{v.METADATA_FILE}"
    # Before it is parsed: entities refer to some others by id, each to few.
    if not run and data.count(b'"@id"') > _MENTIONS * bounds.MAX_ENTITIES:
        raise CrateError(where, f"more than {bounds.MAX_ENTITIES:,} entities", "@graph")
    graph = graph_in(_json_of(data, where, None if strict else float), where)
    if not run:
        _check_counts(graph, where)
    graph = identifiers.resolve(graph, paths=not identifiers.all_plain(data))
    seen: set[str] = set()
    for entity in graph if strict else ():
        if entity["@id"] in seen:
            raise CrateError(where, "more than one entity has this id", entity["@id"])
        seen.add(entity["@id"])
    return graph


def entities_of(source: Source, data: bytes, *, strict: bool = True) -> dict[str, Entity]:
    """Return the entities in the content of a metadata file by id, as :func:`graph_of` gives them.

    Equal ones of several crates are one object: they must not be changed.

    Args:
        source: the crate.
        data: the content.
        strict: as of :func:`graph_of`.

    Raises:
        CrateError: as of :func:`graph_of`.
    """
    shared = _LINES.entities(data)
    if shared is not None:
        return shared
    entities: dict[str, Entity] = {}
    for entity in graph_of(source, data, strict=strict):
        entities.setdefault(entity["@id"], entity)
    return entities


def _check_counts(graph: list[Entity], where: str) -> None:
    if len(graph) > bounds.MAX_ENTITIES:
        raise CrateError(where, f"more than {bounds.MAX_ENTITIES:,} entities", "@graph")
    for entity in graph:
        for name, value in entity.items():
            if isinstance(value, list) and len(value) > bounds.MAX_REFERENCES:
                problem = f"more than {bounds.MAX_REFERENCES:,} values or references"
                raise CrateError(where, problem, f"{entity['@id']}.{name}")


def hardware_of(source: Source) -> dict[str, Any]:
    """Return the content of ``data/hardware.json``.

    Raises:
        CrateError: missing, no JSON object, or its ``probes`` have another shape.
    """
    return hardware_in(read_json(source, v.HARDWARE_FILE), f"{source.where}/{v.HARDWARE_FILE}")


def series_of(source: Source) -> TaskSeries:
    """Return the content of ``data/resource_usage.json``.

    Raises:
        CrateError: missing, or of another shape.
    """
    data = read_json(source, v.SERIES_FILE)
    try:
        return read_resource_usage(data)
    except KeyError as error:
        raise CrateError(f"{source.where}/{v.SERIES_FILE}", "missing", error.args[0]) from None
    except (TypeError, ValueError, AttributeError) as error:
        raise CrateError(f"{source.where}/{v.SERIES_FILE}", str(error)) from None


def graph_in(document: Any, where: str) -> list[Entity]:
    """Return the entities in the content of a metadata file.

    Args:
        document: the content.
        where: what errors name.

    Raises:
        CrateError: no graph of entities with ids and types that are texts.
    """
    graph = document.get("@graph") if isinstance(document, dict) else None
    if not isinstance(graph, list):
        raise CrateError(where, "expected a list of entities", "@graph")
    for number, entity in enumerate(graph):
        if not isinstance(entity, dict) or not isinstance(entity.get("@id"), str):
            raise CrateError(where, "expected an entity with a text @id", f"@graph[{number}]")
        if not isinstance(entity.get("@type", ""), (str, list)):
            raise CrateError(where, "expected a type or a list of types", f"{entity['@id']}: @type")
        for name, value in entity.items():
            if type(value) is not str and isinstance(value, (list, dict)) and _is_deep(value, bounds.MAX_LEVELS):
                raise CrateError(where, f"more than {bounds.MAX_LEVELS} levels", f"{entity['@id']}.{name}")
    return graph


def _check_entities(graph: list[Entity]) -> None:
    _check_counts(graph_in({"@graph": graph}, ""), "")


def new_lines() -> EntityLines:
    """Return a reader of documents by their lines, as strict as :func:`graph_of`."""
    return EntityLines(json.JSONDecoder(parse_constant=_no_number, parse_float=_finite), _check_entities)


_LINES = new_lines()


def _is_deep(value: Any, levels: int) -> bool:
    """Return whether lists and objects are nested in more than this many levels."""
    if not levels:
        return True
    for member in value if type(value) is list else value.values():
        kind = type(member)  # of json.loads alone, and asked of each value of each crate: no isinstance
        if kind is dict and len(member) == 1 and type(member.get("@id")) is str:
            continue  # a reference, as most are
        if (kind is dict or kind is list) and _is_deep(member, levels - 1):
            return True
    return False


def hardware_in(data: Any, where: str) -> dict[str, Any]:
    """Return the content of ``data/hardware.json``; what it says once at its top is in the reports of its probes too.

    Raises:
        CrateError: no JSON object, or its ``probes`` have another shape.
    """
    if not isinstance(data, dict):
        raise CrateError(where, "expected a JSON object")
    probes = data.get("probes", {})
    if not isinstance(probes, dict):
        raise CrateError(where, "expected a JSON object", "probes")
    for name, report in probes.items():
        if not isinstance(report, dict) or not isinstance(report.get("data", {}), dict):
            raise CrateError(where, "expected the report of a probe", f"probes.{name}")
    for key, (probe, member) in v.HARDWARE_ONCE.items():
        report_data = probes.get(probe, {}).get("data")
        if report_data is not None and data.get(key):
            report_data.setdefault(member, data[key])
    return data


def reference_ids(value: Any) -> list[str]:
    """Return ids in a property's value: of a reference, of a list of references, or none."""
    return [
        identifier
        for member in (value if isinstance(value, list) else (value,))
        if isinstance(member, dict) and isinstance(identifier := member.get("@id"), str)
    ]


def types_of(entity: Entity) -> list[str]:
    """Return types of an entity, always as a list."""
    kind = entity.get("@type", [])
    return [kind] if isinstance(kind, str) else [name for name in kind if isinstance(name, str)]


def content_size(entity: Entity) -> int | None:
    """Return the size in bytes that an entity states, as text of digits or as a number; None if it states none."""
    size = entity.get("contentSize")
    if isinstance(size, float) and size.is_integer():
        size = int(size)
    if isinstance(size, bool) or not isinstance(size, (str, int)):
        return None
    text = str(size)
    number = int(text) if text.isdecimal() and len(text) < 20 else None
    return number if number is not None and number < 1 << 63 else None
