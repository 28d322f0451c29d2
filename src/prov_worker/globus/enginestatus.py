"""What an engine knows of its queue, its blocks and its workers, in a file of the user endpoint's folder.

The stock user endpoint tells that to the web service alone, with its heartbeats. The file is for whoever looks after
endpoints on the same host, without a login or a network: ``prov-worker fleet status``.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prov_worker.files import write_file

_log = logging.getLogger(__name__)

FILE = "engine_status.json"
#: Between looks; the file is written if something changed, and now and then as a sign of life.
_LOOK_S = 2.0
_WRITE_S = 30.0


class EngineStatus:
    """Writes the file from a thread of its own. No method raises.

    Args:
        run_dir: folder of the user endpoint.
        outstanding: tasks that have no result yet.
        executor: Parsl's, asked for managers and blocks.
    """

    def __init__(self, run_dir: str, outstanding: Callable[[], int], executor: Any) -> None:
        self._path = Path(run_dir) / FILE
        self._outstanding = outstanding
        self._executor = executor
        self._end = threading.Event()
        self._last: dict[str, Any] = {}
        self._written = 0.0
        self._failed = False

    def start(self) -> None:
        """Begin."""
        try:
            threading.Thread(target=self._work, name="prov-worker-engine-status", daemon=True).start()
        except Exception:
            _log.warning("no thread for %s", self._path, exc_info=True)

    def stop(self) -> None:
        """End, and take the file away: it speaks of a living engine."""
        self._end.set()
        try:
            self._path.unlink(missing_ok=True)
        except OSError:
            pass  # an old file is known by its time

    def _work(self) -> None:
        while not self._end.wait(_LOOK_S):
            try:
                self._look()
                self._failed = False
            except Exception:
                if not self._failed:
                    _log.warning("%s cannot be written", self._path, exc_info=True)
                self._failed = True

    def _look(self) -> None:
        status: dict[str, Any] = {"outstanding": self._outstanding(), **self._blocks()}
        if status["outstanding"] or status["blocks_running"] or not self._last:
            status.update(self._workers())
        else:
            status.update(workers=0, idle_workers=0, managers=0)
        now = time.time()
        if status == self._last and now - self._written < _WRITE_S:
            return
        write_file(self._path, json.dumps({"at": now, "pid": os.getpid(), **status}) + "\n")
        if self._end.is_set():
            self._path.unlink(missing_ok=True)
            return
        self._last, self._written = status, now

    def _blocks(self) -> dict[str, int]:
        """Return batch jobs as Parsl saw them last; it asks the scheduler, at its own pace."""
        states = [status.state.name for status in dict(self._executor.status_facade).values()]
        return {"blocks_running": states.count("RUNNING"), "blocks_pending": states.count("PENDING")}

    def _workers(self) -> dict[str, int]:
        managers = self._executor.connected_managers()
        busy = sum(min(manager["tasks"], manager["worker_count"]) for manager in managers)
        workers = sum(manager["worker_count"] for manager in managers)
        return {"managers": len(managers), "workers": workers, "idle_workers": workers - busy}


def read(run_dir: Path) -> dict[str, Any] | None:
    """Return what an engine wrote last, with ``at`` in seconds since the epoch; None if there is nothing."""
    try:
        status = json.loads((run_dir / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return status if isinstance(status, dict) and isinstance(status.get("at"), (int, float)) else None
