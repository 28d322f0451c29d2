"""The slot of a worker thread, and what its node's agent gets to know once: facts, and where events are to go."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from prov_worker.errors import SpoolError
from prov_worker.interruptions import is_own
from prov_worker.recorder.errors import log_internal_error
from prov_worker.recorder.failures import redacted
from prov_worker.recorder.worker_info import worker_facts
from prov_worker.redact import secret_values
from prov_worker.spool.journal import VERSION
from prov_worker.spool.paths import JournalName, runtime_dir
from prov_worker.spool.slot import OFF, Slot
from prov_worker.worker_settings import WorkerSettings


def worker_line(
    name: JournalName,
    thread: int | None,
    endpoint_id: Any,
    affinity: Iterable[int],
    settings: WorkerSettings,
    provenance: Mapping[str, Any],
) -> bytes:
    """Return the journal's line about a worker, without secrets.

    Args:
        name: of its journal.
        thread: native id of the thread; None for the main one.
        endpoint_id: of Globus Compute; None if it is not known.
        affinity: numbers of the CPUs that the worker may use.
        settings: that came with a task.
        provenance: all that came with it.
    """
    line = {
        "t": "worker",
        "v": VERSION,
        "host": name.host,
        "place": name.place,
        "pid": os.getpid(),
        "thread": thread,
        "endpoint": None if endpoint_id is None else str(endpoint_id),
        "endpoint_name": provenance.get("endpoint_name"),
        "aff": sorted(affinity),
        **worker_facts(os.environ, settings.capture_environment),
        "settings": provenance["settings"],
    }
    return json.dumps(redacted(line, secret_values())).encode() + b"\n"


def make_slot(
    runtime: str, crate_dir: str, name: JournalName, thread: int | None, settings: WorkerSettings, journal: str
) -> Slot:
    """Make the slot of a worker thread; one in memory, which no agent sees, if there can be none.

    Args:
        runtime: directory of slots; empty if there is none.
        crate_dir: where crates appear.
        name: of the journal.
        thread: native id of the thread; None for the main one.
        settings: that came with a task.
        journal: its path.
    """
    pid = os.getpid()
    try:
        if not runtime:
            raise FileNotFoundError("no runtime directory")
        if not os.path.isdir(runtime):
            runtime_dir(crate_dir)  # an agent that left has just tidied it away
        return Slot(
            os.path.join(runtime, f"slot.{pid}" if thread is None else f"slot.{pid}-{thread}"),
            pid,
            thread or 0,
            name.start,
            settings.poll_interval,
            journal,
            settings.intervals(OFF),
        )
    except (OSError, ValueError) as error:
        if not is_own(error):
            raise
        log_internal_error("making a slot")  # no sample, no plot; `prov-worker recover` writes the crates
        return Slot.in_memory()


def make_again(slot: Slot | None, runtime: str, crate_dir: str) -> bool:
    """Make a slot again if a log-out or the end of a job has removed it; whether it was."""
    if slot is None or slot.is_there():
        return False
    try:
        if not os.path.isdir(runtime):
            runtime_dir(crate_dir)
        slot.make_again()
    except (OSError, SpoolError) as error:
        if not is_own(error):
            raise
        log_internal_error("making a slot again")
        return False
    return True


def ask_for_events(runtime: str, stream: Mapping[str, Any]) -> None:
    """Leave the agent word of where events are to go."""
    from prov_worker.spool.stream_request import leave_request  # few workers are asked for events

    try:
        leave_request(runtime, stream)
    except OSError as error:
        if not is_own(error):
            raise
        log_internal_error("asking for events")
