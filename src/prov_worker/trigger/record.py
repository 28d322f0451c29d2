"""The crate of a trigger: which files, when they had settled, and which run they led to.

An RO-Crate 1.1 that conforms to Process Run Crate 0.5: an ``ActivateAction`` of this software, whose object is the
folder and whose result the run. ``run assemble --trigger`` links a run crate to it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import uuid
from pathlib import Path
from typing import Any

import prov_worker
from prov_worker.crate import vocabulary as v
from prov_worker.crate.json_text import one_line, safe_name, utc
from prov_worker.crate.people import account_name, people
from prov_worker.settings import Settings
from prov_worker.trigger import scan
from prov_worker.trigger.watcher import Settled

SUFFIX = ".trigger" + v.CRATE_SUFFIX
FILES = "files.json"
_SOFTWARE = "#prov-worker"
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
    staged = directory / f".{target.name}.{os.getpid()}.part"
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(mode=0o700)
    try:
        listing = json.dumps({"folder": str(folder.path), "files": _files(folder)}, indent=1) + "\n"
        (staged / FILES).write_text(listing, encoding="utf-8", errors="backslashreplace")
        document = {"@context": v.CONTEXT, "@graph": _graph(folder, key, run, len(listing.encode()))}
        text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
        (staged / v.METADATA_FILE).write_text(text, encoding="utf-8", errors="backslashreplace")
        os.rename(staged, target)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise
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


def _graph(folder: Settled, key: str, run: dict[str, Any], listing_bytes: int) -> list[dict[str, Any]]:
    persons = people(Settings(), account_name(), "when the folder was triggered")
    digest = hashlib.sha256(os.fsencode(folder.path)).hexdigest()
    identifier = f"urn:uuid:{uuid.uuid5(_NAMESPACE, digest + key)}"
    place = folder.path.as_uri()
    result, title = _run(run), one_line(folder.name)
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
            "name": f"Trigger of {title}",
            "description": f"The folder {title} had settled on {socket.gethostname()}, and an action followed",
            "identifier": identifier,
            "datePublished": utc(folder.settled_ns),
            "license": {"@id": persons.license},
            "author": {"@id": persons.author},
            "publisher": {"@id": persons.publisher},
            "conformsTo": {"@id": v.PROCESS_PROFILE},
            "hasPart": {"@id": FILES},
            "mentions": {"@id": v.TRIGGER_ID},
        },
        {
            "@id": v.PROCESS_PROFILE,
            "@type": "CreativeWork",
            "name": "Process Run Crate",
            "version": v.PROCESS_PROFILE_VERSION,
        },
        *(json.loads(text) for text in persons.entities),
        {
            "@id": FILES,
            "@type": "File",
            "name": "Files of the folder",
            "description": "Path, size and modification time of each file when the folder had settled",
            "encodingFormat": "application/json",
            "contentSize": str(listing_bytes),
            "about": {"@id": place},
        },
        {
            "@id": v.TRIGGER_ID,
            "@type": v.TRIGGER_TYPE,
            "name": f"Action for {title}",
            "description": f"{folder.files} files, {folder.size_bytes} bytes, from the first look to the last",
            "identifier": key,
            "agent": {"@id": persons.author},
            "instrument": {"@id": _SOFTWARE},
            "object": {"@id": place},
            "result": {"@id": result["@id"]},
            "startTime": utc(folder.seen_ns),
            "endTime": utc(folder.settled_ns),
            "actionStatus": {"@id": v.COMPLETED_STATUS},
        },
        {
            "@id": _SOFTWARE,
            "@type": "SoftwareApplication",
            "name": "prov-worker trigger",
            "softwareVersion": prov_worker.__version__,
            "url": {"@id": "https://pypi.org/project/prov-worker/"},
        },
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
    """The entity of what the action led to."""
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
