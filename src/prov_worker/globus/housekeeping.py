"""What an engine does beside its tasks: the login node's agent, and what an earlier run left open."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable

from prov_worker.spool.paths import spool_dir

_log = logging.getLogger(__name__)


def has_leftovers(crate_dir: str) -> bool:
    """Whether an earlier run left journals in the spool. To be asked before this run writes there."""
    try:
        with os.scandir(spool_dir(crate_dir)) as entries:
            return any(entry.name.endswith(".jsonl") for entry in entries)
    except OSError:
        return False  # no spool: nothing ran here before


def begin(crate_dir: str, start_agent: Callable[[], None] | None, *, recover: bool) -> None:
    """Start the node's agent and finish an earlier run's records, in a thread of their own. Never raises.

    Args:
        crate_dir: absolute path.
        start_agent: starts the node's agent where none lives; the login node's closes the tasks of lost nodes.
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
        if recover:
            _recover(crate_dir)
    except Exception:
        _log.warning("housekeeping of %s failed; `prov-worker recover` mends it", crate_dir, exc_info=True)


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
    _log.log(level, "records of earlier runs in %s: %s", crate_dir, done.stdout.strip()[-2000:] or "nothing to say")
