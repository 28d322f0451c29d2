"""The engine's own journal: what it knows of tasks whose worker, manager or node is gone.

It stands beside the workers' journals and is followed by the agent of the endpoint's node, which looks for the
workers' evidence first and writes the crate that nobody else can write any more.
"""

from __future__ import annotations

import json
import os
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from logging import getLogger
from pathlib import Path
from typing import Any

from prov_worker.processes import process_start
from prov_worker.redact import redact_beginning, redact_part
from prov_worker.spool import VERSION, launch
from prov_worker.spool.journal import JournalWriter
from prov_worker.spool.paths import JournalName, runtime_dir, spool_dir
from prov_worker.spool.slot import OFF, Slot
from prov_worker.spool.stream_request import leave_request

log = getLogger(__name__)

#: How often an engine's slot is looked at: it never runs a task.
_INTERVAL_S = 1.0
_MAX_MESSAGE = 1900
_MAX_TRACEBACK = 64 << 10


class EngineJournal:
    """Writes ``lost`` lines; made once per engine, used from its threads. No method raises.

    Args:
        crate_dir: directory of the crates.
        endpoint_id: UUID of the endpoint.
        endpoint_name: its name; None if it has none.
        settings: as :meth:`prov_worker.settings.Settings.to_mapping` gives them.
        stream: as :meth:`prov_worker.settings.Settings.stream_mapping` gives them.

    Raises:
        OSError, SpoolError: neither slot nor journal can be made.
    """

    def __init__(
        self,
        crate_dir: Path,
        endpoint_id: str | None,
        endpoint_name: str | None,
        settings: dict[str, Any],
        stream: Mapping[str, Any] | None = None,
    ) -> None:
        pid = os.getpid()
        start = process_start(pid)
        self._crate_dir = str(crate_dir)
        refused: list[str] = []
        self._runtime = runtime_dir(self._crate_dir, refused)
        if refused:
            log.warning("what runs on this node is noted in %s, because of %s", self._runtime, "; ".join(refused))
        self._lock = threading.Lock()
        parsed = JournalName.here(self._runtime, pid, start, 0)  # JournalName.is_engine
        name = str(parsed)
        path = os.path.join(spool_dir(self._crate_dir), name)
        self._journal = JournalWriter(path, os.path.join(self._runtime, "spool", name))
        # an engine is watched for its death alone: on its account the node's meters stay shut
        telemetry = (_INTERVAL_S,) * 5 + (OFF,) * 3
        slot = os.path.join(self._runtime, f"slot.{pid}-engine")
        self._slot = Slot(slot, pid, 0, start, _INTERVAL_S, path, telemetry)
        if stream:
            leave_request(self._runtime, stream)
        facts: dict[str, Any] = {"t": "worker", "v": VERSION, "host": parsed.host, "place": parsed.place, "pid": pid}
        facts |= {"endpoint": endpoint_id, "settings": settings}
        facts["endpoint_name"] = endpoint_name
        self._journal.remember(json.dumps(facts).encode() + b"\n", first=True)

    def lost(
        self,
        task_id: str,
        attempt: int,
        function_id: str | None,
        submitted_ns: int,
        failures: Sequence[BaseException],
        reason: str | None = None,
    ) -> None:
        """Note that an attempt ended without a result of its worker.

        Args:
            task_id: UUID as text.
            attempt: 1 for the first.
            function_id: UUID of the function, if it is known.
            submitted_ns: when the engine took the task, ns since the epoch.
            failures: what the executor raised, one per attempt so far; the last is this attempt's.
            reason: what is known better than that.
        """
        try:
            error = failures[-1] if failures else None
            text = "".join(traceback.format_exception(type(error), error, error.__traceback__)) if error else None
            message = redact_beginning(str(error), _MAX_MESSAGE) if error else "the engine gave no reason"
            line = {
                "t": "lost",
                "task": task_id,
                "n": attempt,
                "ns": submitted_ns,
                "end": time.time_ns(),
                "fid": function_id,
                "err": {
                    "kind": "lost",
                    "message": reason or (f"{type(error).__name__}: {message}" if error else message),
                    "type": f"{type(error).__module__}.{type(error).__qualname__}" if error else None,
                    "traceback": redact_part(text, _MAX_TRACEBACK, tail=True) if text else None,
                },
            }
            with self._lock:
                self._journal.look()
                self._journal.write(json.dumps(line).encode() + b"\n")
                # the sequence moves, so that the agent looks; it stays even: nothing runs here
                self._slot.begin(time.time_ns(), time.monotonic_ns(), 0, bytes(16), 0)
                self._slot.end()
            launch.ensure_agent(self._runtime, self._crate_dir)
        except Exception:
            log.warning("task %s: its loss could not be recorded", task_id, exc_info=True)

    def ensure_agent(self) -> None:
        """Start this node's agent if none lives."""
        launch.ensure_agent(self._runtime, self._crate_dir)

    def close(self) -> None:
        """Let journal and slot go: no agent stays for an engine that is shut down in a process that lives on."""
        with self._lock:
            self._journal.close()
            self._slot.let_go()
