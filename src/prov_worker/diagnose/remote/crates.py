"""Whether crates of tasks appear, looked for where a worker sees them."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import pathlib
import time
from typing import Any

_LOOK_AGAIN_S = 0.05


def probe_crates(request: dict[str, Any]) -> dict[str, Any]:
    """Wait for the crates of earlier tasks.

    Args:
        request: ``tasks``, their ids; ``crate_wait_s``, how long to wait.

    Returns ``installed``, the version of prov_worker, None: it is not there; ``directory`` of the crates, None: tasks
    are not recorded; its ``space``; ``crates`` by task: ``bytes``, ``status``, ``published_ns``; ``waited_s``.
    """
    answer: dict[str, Any] = {"installed": None, "directory": None, "crates": {}}
    spec = importlib.util.find_spec("prov_worker")
    if spec is None or spec.origin is None:  # a directory that an earlier installation left is not a package
        return answer
    answer["installed"] = str(importlib.import_module("prov_worker").__version__)
    task = importlib.import_module("prov_worker.recorder.annotations").running.task
    directory = getattr(task, "crate_dir", None)
    if directory is None:
        return answer
    answer["directory"] = directory
    space = globals().get("space_of_directory")  # of another module that is sent
    answer["space"] = space(directory) if space else {}
    begin = time.monotonic()
    missing = list(request["tasks"])
    while missing:
        for name in missing:
            crate = _crate_here(directory, name)
            if crate is not None:
                answer["crates"][name] = crate
        missing = [name for name in missing if name not in answer["crates"]]
        if time.monotonic() - begin > request["crate_wait_s"]:
            break
        time.sleep(_LOOK_AGAIN_S if missing else 0)
    answer["waited_s"] = time.monotonic() - begin
    return answer


def _crate_here(directory: str, name: str) -> Any:
    """Return the crate of a task: a directory, or in a pack; None: not yet."""
    path = os.path.join(directory, name + ".crate")
    document = os.path.join(path, "ro-crate-metadata.json")
    try:
        with open(document, "rb") as stream:
            text = stream.read()
        published_ns = os.stat(document).st_mtime_ns
    except OSError:
        return _crate_in_pack(directory, name)
    statuses = [entity["actionStatus"] for entity in json.loads(text)["@graph"] if "actionStatus" in entity]
    status = statuses[0] if statuses else None
    size = sum(os.path.getsize(os.path.join(top, file)) for top, _, files in os.walk(path) for file in files)
    return {
        "bytes": size,
        "status": status["@id"] if isinstance(status, dict) else status,
        "published_ns": published_ns,
    }


def _crate_in_pack(directory: str, name: str) -> Any:
    packs = [entry for entry in os.listdir(directory) if entry.endswith((".crates.zip", ".crates.zip.part"))]
    if not packs:
        return None
    lookup = importlib.import_module("prov_worker.crate.sources.lookup")
    for pack in packs:
        for source in lookup.sources_at(pathlib.Path(directory, pack)):
            if source.key.startswith(name):
                return {"bytes": None, "status": None, "published_ns": None}
    return None
