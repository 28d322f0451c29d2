"""The recorder of each thread, which serves the tasks that run there."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from prov_worker.recorder.forks import Forks
from prov_worker.recorder.recorder import Recorder

_local = threading.local()


def recorder_for(provenance: Mapping[str, Any], endpoint_id: Any) -> Recorder:
    """Return the recorder of this thread for the crate directory that the settings name.

    Made again in a forked child, which must not write to its parent's journal.

    Raises:
        SpoolError, OSError, KeyError: as of :class:`Recorder`; recording is impossible here.
        ValueError, TypeError, AttributeError: as of :class:`~prov_worker.worker_settings.WorkerSettings`.
    """
    last: Recorder | None = getattr(_local, "last", None)
    if last is not None and last.provenance_key == provenance["key"] and last.forks == Forks.count:
        return last
    crate_dir = provenance["settings"]["crate_dir"]
    recorders: dict[str, Recorder] | None = getattr(_local, "recorders", None)
    if recorders is None:
        recorders = _local.recorders = {}
    recorder = recorders.get(crate_dir)
    if recorder is None or recorder.forks != Forks.count:
        recorder = recorders[crate_dir] = Recorder(crate_dir)
    recorder.use(provenance, endpoint_id)
    _local.last = recorder
    return recorder
