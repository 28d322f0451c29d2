"""Crates of triggers (``prov-worker trigger``) among step crates: those who read steps pass them over."""

from __future__ import annotations

import json
import re

from prov_worker.crate import vocabulary as v
from prov_worker.crate.sources.base import Source, read

#: The root, which mentions the trigger, comes first in what is written; all of such a document is smaller.
_HEAD_BYTES = 32 << 10
_MAX_BYTES = 8 << 20
#: Names by the ids of tasks: such a crate is a step, and need not be opened to tell.
_TASK = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?:\.|\Z)")


def is_trigger(source: Source) -> bool:
    """Return whether a crate is a trigger's, by its metadata: the root mentions the action of one, and has no step.

    Cheap: a crate that is named by a task's id is not opened, and of others the beginning is read.
    """
    if _TASK.match(source.key):
        return False
    try:
        with source.open(v.METADATA_FILE) as stream:
            if json.dumps(v.TRIGGER_ID).encode() not in stream.read(_HEAD_BYTES):
                return False
        graph = json.loads(read(source, v.METADATA_FILE, _MAX_BYTES))["@graph"]
        entities = {entity["@id"]: entity for entity in graph}
        return entities[v.TRIGGER_ID]["@type"] == v.TRIGGER_TYPE and "mainEntity" not in entities["./"]
    except Exception:  # also zlib.error and more, of a damaged zip: its reader says what is wrong
        return False
