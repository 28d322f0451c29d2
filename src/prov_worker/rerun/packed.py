"""The serialised call in a crate: read as text, never unpacked here, as unpacking runs code."""

from __future__ import annotations

import hashlib

from prov_worker.crate import vocabulary as v
from prov_worker.crate.reader import StepCrate
from prov_worker.crate.sources import read
from prov_worker.errors import CrateError


def packed_call(step: StepCrate) -> str:
    """Return the call that a crate keeps.

    Raises:
        CrateError: it keeps none, and says why; or what it keeps is not what its metadata have the hash of.
    """
    file = next((file for file in step.files if file.relative == v.CALL_FILE), None)
    if file is None:
        absent = step.entities.get(v.CALL_ABSENT)
        if absent is not None:
            raise CrateError(step.source.where, f"its call was not kept: {absent.get('value')}", v.CALL_FILE)
        reason = "it keeps no serialised call; only what is recorded with capture_arguments: packed can be run again"
        raise CrateError(step.source.where, reason, v.CALL_FILE)
    data = read(step.source, v.CALL_FILE)
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise CrateError(step.source.where, "is not what was recorded: its sha256 differs", v.CALL_FILE)
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise CrateError(step.source.where, "is not a text", v.CALL_FILE) from None
