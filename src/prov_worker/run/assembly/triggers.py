"""Crates of triggers (``prov-worker trigger``) that a run crate links to: which data had come, and what began then."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prov_worker.crate import vocabulary as v
from prov_worker.crate.graph import parse_json
from prov_worker.crate.json_text import one_line
from prov_worker.errors import InputError
from prov_worker.files import read_regular

_MAX_BYTES = 8 << 20


def trigger_entities(crates: Sequence[Path]) -> list[dict[str, Any]]:
    """Return an entity per crate, which the run mentions: its identifier, name, folder and time.

    Raises:
        InputError: one is not a crate of a trigger; it is named.
    """
    return [_entity(crate) for crate in crates]


def _entity(crate: Path) -> dict[str, Any]:
    try:
        document = parse_json(read_regular(crate / v.METADATA_FILE, _MAX_BYTES))
    except FileNotFoundError:
        problem = f"{v.METADATA_FILE} is missing" if crate.exists() else "there is no such directory"
        raise InputError(f"{crate}: not a crate of a trigger: {problem}") from None
    except OSError as error:
        raise InputError(f"{crate}: not a crate of a trigger: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{crate}: not a crate of a trigger: {v.METADATA_FILE} is invalid JSON: {error}") from None
    try:
        entities = {entity["@id"]: entity for entity in document["@graph"]}
        root, action = entities["./"], entities[v.TRIGGER_ID]
        folder = entities[action["object"]["@id"]]
        result = entities[action["result"]["@id"]]
        identifier = root["identifier"]
        if not isinstance(identifier, str) or not identifier.startswith("urn:uuid:"):
            raise ValueError(identifier)
        return {
            "@id": identifier,
            "@type": "CreativeWork",
            "name": one_line(root["name"]),
            "description": f"Folder {one_line(folder['name'])} had settled; {one_line(result['name'])} followed",
            "identifier": crate.name,
            "datePublished": one_line(root["datePublished"]),
        }
    except (KeyError, TypeError, ValueError):
        problem = "its metadata lack what prov-worker trigger writes: the action, its folder, and the run that followed"
        raise InputError(f"{crate}: not a crate of a trigger: {problem}") from None
