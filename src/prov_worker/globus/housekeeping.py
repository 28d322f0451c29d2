"""What an engine does beside its tasks: the login node's agent, and what an earlier run left: processes and records."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from prov_worker.spool import claims
from prov_worker.spool.paths import spool_dir

_log = logging.getLogger(__name__)

#: In the first second of an interchange nobody can tell whose it is; on a busy host in its first ten.
_YOUNG_S = 30.0


def end_orphans(run_dir: str) -> None:
    """End interchanges, managers and workers that an earlier engine of this folder left; name others'. Never raises.

    Args:
        run_dir: folder of the engine that is about to start.
    """
    try:
        from prov_worker.globus import orphans

        folder = Path(run_dir)
        pool = orphans.pool_processes(wait_s=_YOUNG_S)
        without_engine = orphans.without_engine(pool)
        mine = [part for part in without_engine if orphans.is_in(part, folder)]
        if mine:
            left = orphans.end(mine)
            _log.warning("ended what an earlier engine of %s left: %s", folder, ", ".join(orphans.names(mine)))
            if left:
                _log.warning("does not end: %s", ", ".join(str(process.pid) for process in left))
        for part in pool:
            if part.engine is not None and part.engine.pid != os.getpid() and orphans.is_in(part, folder):
                _log.warning("another engine uses this folder: process %s; left alone: %s", part.engine.pid, part)
        for part in without_engine:
            if part not in mine and part.kind != "worker":
                _log.warning("left alone, though its engine is gone, since it is not of %s: %s", folder, part)
    except Exception:
        _log.warning("cannot look for what an earlier engine of %s left", run_dir, exc_info=True)


def has_leftovers(crate_dir: str) -> bool:
    """Return whether an earlier run left journals in the spool. To be asked before this run writes there."""
    try:
        with os.scandir(spool_dir(crate_dir)) as entries:
            return any(entry.name.endswith(".jsonl") for entry in entries)
    except OSError:
        return False  # no spool: nothing ran here before


def begin(crate_dir: str, start_agent: Callable[[], None] | None, *, recover: bool) -> None:
    """Start the node's agent and finish an earlier run's records, in a thread of their own. Never raises.

    Args:
        crate_dir: absolute path.
        start_agent: starts the node's agent if none lives; the login node's closes the tasks of lost nodes.
        recover: whether there are records to finish.
    """
    try:
        threading.Thread(
            target=_work, args=(crate_dir, start_agent, recover), name="prov-worker-housekeeping", daemon=True
        ).start()
    except Exception:
        _log.warning("cannot start housekeeping", exc_info=True)


def _work(crate_dir: str, start_agent: Callable[[], None] | None, recover: bool) -> None:
    try:
        if start_agent is not None:
            start_agent()
        claims.remove_old(crate_dir)
        if recover:
            _recover(crate_dir)
    except Exception:
        _log.warning("housekeeping of %s failed; `prov-worker recover` repairs it", crate_dir, exc_info=True)


def _recover(crate_dir: str) -> None:
    """Run ``prov-worker recover`` as a process of its own: plots and hashes are no work for the endpoint's process."""
    done = subprocess.run(
        [sys.executable, "-m", "prov_worker", "recover", crate_dir],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
        check=False,
    )
    level = logging.INFO if done.returncode == 0 else logging.WARNING
    _log.log(level, "records of earlier runs in %s: %s", crate_dir, done.stdout.strip()[-2000:] or "no output")
