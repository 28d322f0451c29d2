"""The recorder of each thread, which serves the tasks that run there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prov_worker.recorder.context import running
from prov_worker.recorder.forks import Forks
from prov_worker.recorder.recorder import Recorder


def recorder_for(provenance: Mapping[str, Any], endpoint_id: Any) -> Recorder:
    """Return the recorder of this thread for the crate directory that the settings name.

    Made again in a forked child, which must not write to its parent's journal.

    Raises:
        SpoolError, OSError, KeyError: as of :class:`Recorder`; recording is impossible here.
        ValueError, TypeError, AttributeError: as of :class:`~prov_worker.worker_settings.WorkerSettings`.
    """
    last = running.last
    if last is not None and last.provenance_key == provenance["key"] and last.forks == Forks.count:
        return last
    crate_dir = provenance["settings"]["crate_dir"]
    recorders = running.recorders
    if recorders is None:
        recorders = running.recorders = {}
    recorder = recorders.get(crate_dir)
    if recorder is None or recorder.forks != Forks.count:
        recorder = recorders[crate_dir] = Recorder(crate_dir)
    recorder.use(provenance, endpoint_id)
    running.last = recorder
    return recorder
