"""The crate of a trigger: which files, when they had settled, and which run they led to.

An RO-Crate 1.1 that conforms to Process Run Crate 0.5: an ``ActivateAction`` of this software, whose object is the
folder and whose result the run. ``run assemble --trigger`` links a run crate to it.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import uuid
from pathlib import Path
from typing import Any

from prov_worker.crate import process_run
from prov_worker.crate import vocabulary as v
from prov_worker.crate.json_text import one_line, safe_name, utc
from prov_worker.crate.people import account_name, people
from prov_worker.humanize import plural
from prov_worker.settings import Settings
from prov_worker.trigger import scan
from prov_worker.trigger.watcher import Settled

SUFFIX = ".trigger" + v.CRATE_SUFFIX
FILES = "files.json"
_NAMESPACE = uuid.UUID("b1f0a3c4-3a57-5d43-8f0e-52a5f3c0a2d7")


def write_crate(directory: Path, folder: Settled, key: str, run: dict[str, Any]) -> Path:
    """Write the crate of an action that succeeded, whole or not at all, and return its path.

    Args:
        directory: in which it is put; made if it is missing.
        folder: that had settled.
        key: of the attempt.
        run: what the action left.

    Raises:
        OSError: it cannot be written.
    """
    name = safe_name(folder.name)[:80]
    target = directory / f"{name}-{key}{SUFFIX}"
    if target.is_dir():  # from before a crash
        return target
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    listing = json.dumps({"folder": str(folder.path), "files": _files(folder)}, indent=1) + "\n"
    process_run.publish(target, {FILES: listing}, _graph(folder, key, run, listing))
    return target


def _files(folder: Settled) -> list[dict[str, Any]]:
    entries = folder.entries
    if not entries:  # after a restart
        try:
            tree = scan.take(os.fspath(folder.path))
            entries = tree.entries if tree.content == folder.content else ()
        except (scan.UnreadableError, scan.VanishedError):
            entries = ()
    return [
        {"path": entry.path, "bytes": entry.size_bytes, "modified": utc(entry.modified_ns)}
        | ({} if entry.link is None else {"link": entry.link})
        for entry in entries
    ]


def _graph(folder: Settled, key: str, run: dict[str, Any], listing: str) -> list[dict[str, Any]]:
    persons = people(Settings(), account_name(), "when the folder was triggered")
    digest = hashlib.sha256(os.fsencode(folder.path)).hexdigest()
    place = folder.path.as_uri()
    result, title = _run(run), one_line(folder.name)
    action = {
        "@id": v.TRIGGER_ID,
        "@type": v.TRIGGER_TYPE,
        "name": f"Action for {title}",
        "description": f"{plural(folder.files, 'file')}, {plural(folder.size_bytes, 'byte')}, "
        "from the first look to the last",
        "identifier": key,
        "object": {"@id": place},
        "result": {"@id": result["@id"]},
    }
    return [
        *process_run.head(
            persons,
            name=f"Trigger of {title}",
            description=f"The folder {title} had settled on {socket.gethostname()}, and an action followed",
            identifier=f"urn:uuid:{uuid.uuid5(_NAMESPACE, digest + key)}",
            published_ns=folder.settled_ns,
            parts={FILES: listing},
            action=v.TRIGGER_ID,
        ),
        process_run.file_entity(
            FILES,
            listing,
            "Files of the folder",
            "Path, size and modification time of each file when the folder had settled",
            about={"@id": place},
        ),
        *process_run.action_entities(persons, action, "trigger", folder.seen_ns, folder.settled_ns),
        {
            "@id": place,
            "@type": "CreativeWork",
            "name": title,
            "description": f"Folder {one_line(folder.path)} on {socket.gethostname()}",
            "identifier": f"sha256:{folder.content}",
        },
        result,
    ]


def _run(run: dict[str, Any]) -> dict[str, Any]:
    """Return the entity of what the action led to."""
    if "run" in run:
        return {"@id": run["url"], "@type": "CreativeWork", "name": f"Run {run['run']} of flow {run['flow']}",
                "identifier": run["run"]}  # fmt: skip
    if "group" in run:
        return {
            "@id": f"urn:uuid:{run['group']}",
            "@type": "CreativeWork",
            "name": f"Task group {run['group']} of Globus Compute",
            "identifier": [run["group"], *run["tasks"]],
        }
    return {"@id": "#run", "@type": "CreativeWork", "name": f"Command: {run.get('command', '')}"}
