"""The recorder of each thread, which serves the tasks that run there."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from prov_worker.recorder.forks import Forks
from prov_worker.recorder.recorder import Recorder


class _OfThread(threading.local):
    """The recorders of a thread by crate directory, and the one that served its last task."""

    last: Recorder | None = None
    recorders: dict[str, Recorder] | None = None


_of_thread = _OfThread()


def recorder_for(provenance: Mapping[str, Any], endpoint_id: Any) -> Recorder:
    """Return the recorder of this thread for the crate directory that the settings name.

    Made again in a forked child, which must not write to its parent's journal.

    Raises:
        SpoolError, OSError, KeyError: as of :class:`Recorder`; recording is impossible here.
        ValueError, TypeError, AttributeError: as of :class:`~prov_worker.worker_settings.WorkerSettings`.
    """
    last = _of_thread.last
    if last is not None and last.provenance_key == provenance["key"] and last.forks == Forks.count:
        return last
    crate_dir = provenance["settings"]["crate_dir"]
    recorders = _of_thread.recorders
    if recorders is None:
        recorders = _of_thread.recorders = {}
    recorder = recorders.get(crate_dir)
    if recorder is None or recorder.forks != Forks.count:
        recorder = recorders[crate_dir] = Recorder(crate_dir)
    recorder.use(provenance, endpoint_id)
    _of_thread.last = recorder
    return recorder
