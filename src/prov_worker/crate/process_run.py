"""Crates of one action of this software that is not a task, such as a trigger's or a diagnosis'.

An RO-Crate 1.1 that conforms to Process Run Crate 0.5, published whole or not at all.
"""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import prov_worker
from prov_worker.crate import vocabulary as v
from prov_worker.crate.json_text import utc
from prov_worker.crate.people import People
from prov_worker.files import place_new

_PAGE = "https://pypi.org/project/prov-worker/"
_SOFTWARE = f"{_PAGE}{prov_worker.__version__}/"


def head(
    persons: People,
    *,
    name: str,
    description: str,
    identifier: str,
    published_ns: int,
    parts: Mapping[str, str],
    action: str,
) -> list[dict[str, Any]]:
    """Return the entities that each such crate begins with, the files among them.

    Args:
        persons: who stands behind it.
        name: of the crate.
        description: of it.
        identifier: of it.
        published_ns: since the epoch.
        parts: content of its files by name; the names of the entities are the caller's.
        action: id of the action.
    """
    return [
        {
            "@id": v.METADATA_FILE,
            "@type": "CreativeWork",
            "about": {"@id": "./"},
            "conformsTo": {"@id": v.CRATE_PROFILE},
        },
        {
            "@id": "./",
            "@type": "Dataset",
            "name": name,
            "description": description,
            "identifier": identifier,
            "datePublished": utc(published_ns),
            "license": {"@id": persons.license},
            "author": {"@id": persons.author},
            "publisher": {"@id": persons.publisher},
            "conformsTo": {"@id": v.PROCESS_PROFILE},
            "hasPart": [{"@id": file} for file in parts],
            "mentions": {"@id": action},
        },
        {
            "@id": v.PROCESS_PROFILE,
            "@type": "CreativeWork",
            "name": "Process Run Crate",
            "version": v.PROCESS_PROFILE_VERSION,
        },
        *(json.loads(text) for text in persons.entities),
    ]


def file_entity(name: str, content: str, title: str, description: str, **more: Any) -> dict[str, Any]:
    """Return the entity of a file of the crate."""
    return {
        "@id": name,
        "@type": "File",
        "name": title,
        "description": description,
        "encodingFormat": "application/json" if name.endswith(".json") else "text/plain",
        "contentSize": str(len(_encoded(content))),
        **more,
    }


def action_entities(
    persons: People, action: Mapping[str, Any], command: str, begin_ns: int, end_ns: int
) -> list[dict[str, Any]]:
    """Return an action that has completed, and the software that carried it out.

    Args:
        persons: the first of whom it is the agent.
        action: its own properties.
        command: of ``prov-worker``.
        begin_ns: since the epoch.
        end_ns: likewise.
    """
    return [
        {
            **action,
            "agent": {"@id": persons.author},
            "instrument": {"@id": _SOFTWARE},
            "startTime": utc(begin_ns),
            "endTime": utc(end_ns),
            "actionStatus": v.COMPLETED_STATUS,
        },
        {
            "@id": _SOFTWARE,
            "@type": "SoftwareApplication",
            "name": f"prov-worker {command}",
            "softwareVersion": prov_worker.__version__,
            "url": {"@id": _PAGE},
        },
    ]


def publish(target: Path, parts: Mapping[str, str], graph: list[dict[str, Any]]) -> None:
    """Write a crate, whole or not at all: a directory, or a zip file if the name of the target ends so.

    Args:
        target: must not be there.
        parts: content of the files by name.
        graph: entities.

    Raises:
        OSError: it cannot be written.
    """
    document = json.dumps({"@context": v.CONTEXT, "@graph": graph}, indent=1, ensure_ascii=False) + "\n"
    contents = {**parts, v.METADATA_FILE: document}
    staged = target.with_name(f".{target.name}.{os.getpid()}.part")
    shutil.rmtree(staged, ignore_errors=True)
    try:
        if target.suffix == v.ZIP_SUFFIX:
            with zipfile.ZipFile(staged, "x", zipfile.ZIP_DEFLATED) as archive:
                for name, text in contents.items():
                    archive.writestr(name, _encoded(text))
        else:
            staged.mkdir(mode=0o700)
            for name, text in contents.items():
                (staged / name).write_bytes(_encoded(text))
        place_new(staged, target)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        staged.unlink(missing_ok=True)
        raise


def _encoded(text: str) -> bytes:
    """Return the text of a name: names of files are bytes, and not always text."""
    return text.encode("utf-8", "backslashreplace")
