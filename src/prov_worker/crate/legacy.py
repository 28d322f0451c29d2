"""Crates of version 0.1.0 and of other writers: facts that they state in sentences alone.

A crate that this version wrote states its layout (:data:`prov_worker.crate.vocabulary.LAYOUT`), and each fact as a
property. Nothing else in the package reads a sentence of a crate.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from prov_worker.crate import vocabulary as v

_SAMPLES = re.compile(r"(\d+)(?: of (\d+) expected)? samples")
_UNKNOWN_ID = re.compile(r"\s*\(function id unknown; identified by its (hash|name)\)\s*\Z")


def is_legacy(entities: Mapping[str, Mapping[str, object]]) -> bool:
    """Return whether a crate states no layout of ours.

    Args:
        entities: of the crate, by id.
    """
    layout = entities.get(v.METADATA_FILE, {}).get("schemaVersion")
    return not (isinstance(layout, str) and layout.startswith(v.LAYOUTS))


def notes(description: str) -> list[str]:
    """Return the recorder's remarks in the description of an action."""
    _, *texts = description.split(" Note: ")
    return texts


def samples(entities: Mapping[str, Mapping[str, object]]) -> tuple[int | None, int | None]:
    """Return how many samples of the task were taken, and how many were due.

    Args:
        entities: of the crate, by id.
    """
    for identifier in (v.CPU_OBSERVATION, v.MEMORY_OBSERVATION):
        match = _SAMPLES.search(str(entities.get(identifier, {}).get("description", "")))
        if match is not None:
            return int(match[1]), int(match[2]) if match[2] else None
    return None, None


def value_recorded(entity: Mapping[str, object]) -> bool:
    """Return whether the value of an argument or a result is the value, and not a stand-in."""
    stand_in = str(entity.get("description", "")).endswith("the value was not recorded")
    return not stand_in and entity.get("value") != "<not recorded>"


def function_doc(description: str) -> str:
    """Return the description of a function without the remark on its identifier."""
    return _UNKNOWN_ID.sub("", description)


def function_identified_by(function: Mapping[str, object]) -> str | None:
    """Return what the identifier of a function is made of: ``id``, ``sha256``, ``name``; None if nothing says so."""
    if "identifier" in function:
        return "id"
    match = _UNKNOWN_ID.search(str(function.get("description", "")))
    return None if match is None else {"hash": "sha256", "name": "name"}[match[1]]
