"""What the agent tells of tasks while they run: events beside the journals, if somebody asks for them.

``task.started``, ``task.ended`` and ``crate.published`` are sent at least once: they are on disk before an attempt is
noted as done with, so that an agent that takes over tells them again. ``task.sampled`` may be missing. Keys of ``data``
are columns of the table of tasks (:mod:`prov_worker.run.index.tables`), as far as both have them; all of it is
described by ``docs/schemas/event-1.json``.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from prov_worker import schedulers
from prov_worker.accelerators import UNKNOWN_GPUS, NodeGpus
from prov_worker.agent.gpu_share import gpu_sums
from prov_worker.attempt import AttemptId
from prov_worker.counters import COUNTERS
from prov_worker.crate.error_line import error_of
from prov_worker.humanize import clipped, plural
from prov_worker.model import TaskRecord
from prov_worker.spool import stream_request
from prov_worker.spool.event_log import EventLog, event_dir, log_names, remove_log
from prov_worker.spool.paths import own_spools, place_of, places_here, spool_dir
from prov_worker.spool.records import Ended
from prov_worker.spool.stream_request import StreamRequest

STARTED, SAMPLED, ENDED, PUBLISHED = "task.started", "task.sampled", "task.ended", "crate.published"
#: Defaults of the settings of that name, for a directory that `prov-worker stream` alone asks about.
KEEP_S, LIMIT_BYTES = 604_800.0, 1 << 30
_LOOK_S = 1.0
_TIDY_S = 60.0
_MAX_RUNNING = 20_000
_MAX_TEXT = 2000
_BASE = ("endpoint_id", "endpoint_name")


class TaskEvents:
    """Tells what happens to the tasks of one crate directory; costs next to nothing while nobody asks.

    Args:
        runtime: the runtime directory, where settings leave what they ask for.
        crate_dir: the crate directory.
        say: takes a problem: a text, and what is put into it.

    Attributes:
        active: whether somebody asks.
        request: what settings ask for; None if they ask for nothing.
    """

    def __init__(self, runtime: str, crate_dir: str, say: Callable[..., None]) -> None:
        self._runtime = runtime
        self._crate_dir = crate_dir
        self._say = say
        self._log: EventLog | None = None
        #: What was said of each attempt that runs, and the variables that give its worker devices.
        self._running: OrderedDict[AttemptId, tuple[dict[str, Any], dict[str, str]]] = OrderedDict()
        self._requests: dict[str, bytes] = {}
        self._looked = self._tidied = -_TIDY_S
        self._lost = 0
        self.active = False
        self.request: StreamRequest | None = None
        self.look()

    def look(self) -> bool:
        """See now and then whether somebody asks, and remove events that have waited for too long.

        Returns:
            Whether it was looked now.
        """
        now = time.monotonic()
        if now - self._looked < _LOOK_S:
            return False
        self._looked = now
        with contextlib.suppress(OSError):  # it is being made again, or there is no space: tried again
            stream_request.restore_requests(self._runtime, self._requests)
        self.request = stream_request.read_request(self._runtime)
        keep_s = self.request.keep_s if self.request is not None else KEEP_S
        demand = stream_request.is_asked(map(event_dir, own_spools(self._crate_dir)), keep_s)
        self.active = self.request is not None or demand
        try:
            if self._runtime != self._crate_dir:  # as it is for who recovers a directory of another node
                stream_request.pass_on(self._runtime, demand=demand)
        except OSError as error:
            self._say("%s: samples of running tasks cannot be asked for: %s", self._runtime, error)
        if self.active and now - self._tidied >= _TIDY_S:
            self._tidied = now
            limit_bytes = self.request.limit_bytes if self.request is not None else LIMIT_BYTES
            for directory in map(event_dir, own_spools(self._crate_dir)):
                for path, reason in remove_old(directory, keep_s, limit_bytes):
                    self._say("%s: removed, though not every sink has its events: %s", path, reason)
        return True

    def knows(self, attempt: AttemptId) -> bool:
        """Return whether an attempt is reported as running."""
        return attempt in self._running

    def begun(self, ended: Ended) -> None:
        """Note that an attempt runs.

        Args:
            ended: what is known of it, as of :meth:`prov_worker.spool.records.JournalState.begun`.
        """
        record = ended.record
        if not self.active or record.attempt_id in self._running:
            return
        data = _of(record, "running")
        self._running[record.attempt_id] = data, record.worker.accelerators
        if len(self._running) > _MAX_RUNNING:
            self._running.popitem(last=False)
        self._add(STARTED, data)

    def sampled(
        self,
        attempt: AttemptId,
        sample: Mapping[str, float],
        gpus: Mapping[int, Sequence[float]],
        counting: NodeGpus = UNKNOWN_GPUS,
    ) -> None:
        """Note a look at an attempt that runs.

        Args:
            attempt: which one.
            sample: what it used.
            gpus: readings of the node's GPUs, as of :func:`~prov_worker.agent.gpu_share.gpu_sums`.
            counting: how these are counted.
        """
        running = self._running.get(attempt)
        if self.active and running is not None:
            data, devices = running
            sums = {**sample, **gpu_sums(gpus, devices, counting)}
            if sums:
                self._add(SAMPLED, {**data, "sample": sums}, droppable=True)

    def ended(self, ended: Ended) -> None:
        """Note that an attempt has ended, by its worker's word or by somebody's verdict."""
        if self.active:
            if self._running.pop(ended.record.attempt_id, None) is None and not ended.lost:
                self._add(STARTED, _of(ended.record, "running"))
            self._add(ENDED, _of_ended(ended.record))

    def published(self, ended: Ended, crate: str | os.PathLike[str]) -> None:
        """Note that the crate of an attempt is complete on disk; with packs, ``crate`` is their directory."""
        if self.active:
            name = os.path.relpath(crate, self._crate_dir)
            data = {**_of_ended(ended.record), "crate": None if name == os.curdir else name}
            self._add(PUBLISHED, data)

    def flush(self) -> bool:
        """Write what was reported; return whether it is on disk, or given up."""
        log = self._log
        if log is None:
            return True
        try:
            log.flush()
        except OSError as error:
            self._say("events of tasks cannot be written, they stay in memory: %s", error)
        if log.lost > self._lost:
            self._say("%s of tasks given up: not to be written for long", plural(log.lost - self._lost, "event"))
            self._lost = log.lost
            return True
        return not log.is_holding

    def close(self) -> None:
        """Write what is left, and close the file."""
        self.flush()
        if self._log is not None:
            self._log.close()

    def _add(self, kind: str, data: dict[str, Any], *, droppable: bool = False) -> None:
        if self._log is None:
            self._log = EventLog(event_dir(spool_dir(self._crate_dir)), place_of(self._runtime))
        self._log.add(kind, data["task_id"], data, droppable=droppable)


def remove_old(directory: str, keep_s: float, limit_bytes: int) -> list[tuple[str, str]]:
    """Remove event logs that are no longer written to and are too old, or too many.

    Args:
        directory: of the logs.
        keep_s: seconds after which a log goes.
        limit_bytes: most bytes of all logs; the oldest go.

    Returns:
        The path of each that was removed, and why.
    """
    logs: list[tuple[float, int, str]] = []
    try:
        for name in log_names(directory):
            path = os.path.join(directory, str(name))
            status = os.stat(path, follow_symlinks=False)
            logs.append((status.st_mtime, status.st_size, path))
    except OSError:
        return []
    removed = []
    total, now, here = sum(size for _, size, _ in logs), time.time(), places_here()
    for changed, size, path in sorted(logs):
        reason = None
        if now - changed > keep_s:
            reason = f"they have waited for more than {keep_s:g} s (stream_keep)"
        elif total > limit_bytes:
            reason = f"all events are more than {limit_bytes} bytes (stream_limit)"
        if reason is not None and remove_log(path, here):
            total -= size
            removed.append((path, reason))
    return removed


def moment(ns: int) -> str:
    """Return a time in ns since the epoch as RFC 3339 has it, in UTC and with nine digits of a second."""
    seconds, rest = divmod(ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def _of(record: TaskRecord, status: str) -> dict[str, Any]:
    worker = record.worker
    data = {
        "task_id": record.task_id,
        "attempt": record.attempt,
        "status": status,
        "start": moment(record.start_ns),
        "function": clipped(record.function.name, _MAX_TEXT),
        "function_id": record.function.id,
        "host": worker.host,
        "pid": worker.pid or None,
        "thread": worker.thread,
        "rank": worker.rank,
        "block": worker.block_id,
        "scheduler_job": schedulers.job_id(worker.scheduler),
        **{key: getattr(record, key) for key in _BASE},
    }
    return {key: value for key, value in data.items() if value is not None}


def _of_ended(record: TaskRecord) -> dict[str, Any]:
    usage, failure = record.usage, record.failure
    data: dict[str, Any] = {
        **_of(record, record.status),
        "end": moment(record.end_ns),
        "wall_s": record.wall_time_s if record.begun else None,
        "cpu_s": usage.cpu_s,
        "peak_rss_bytes": usage.peak_rss_bytes,
        "verdict": record.is_verdict,
        "usage": {counter.name: value for counter in COUNTERS if (value := getattr(usage, counter.name)) is not None},
    }
    if failure is not None:
        data |= {
            "failure_kind": failure.kind,
            "failure_type": failure.type,
            "failure_signal": failure.signal,
            "exit_status": failure.exit_status,
            "error": clipped(error_of(record), _MAX_TEXT),
        }
    return {key: value for key, value in data.items() if value is not None}
