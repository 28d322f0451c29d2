"""The snapshot of what runs now, in memory that both halves of the agent share.

Little-endian: when it was asked for (Q, CLOCK_MONOTONIC, ns), when it was taken (Q), length and CRC-32 of what follows
(II), which is pickled. Who reads it in the middle of a change finds another sum, and reads again.
"""

from __future__ import annotations

import mmap
import pickle
import struct
import time
import zlib
from dataclasses import dataclass, field

from prov_worker.accelerators import UNKNOWN_GPUS, NodeGpus
from prov_worker.attempt import AttemptId
from prov_worker.model import Energy

#: Memory is taken page by page, as it is written to.
_SIZE = 1 << 20
_TIME = struct.Struct("<Q")
_HEAD = struct.Struct("<QII")
_ASKED_AT, _HEAD_AT = 0, _TIME.size
_BODY_AT = _HEAD_AT + _HEAD.size
_READS = 8
#: Asked for as often as may be, it is taken no more often.
_SHORTEST_NS = 200_000_000


@dataclass(slots=True)
class RunningTask:
    """One task as the sampler sees it.

    Attributes:
        slot: path of its worker's slot.
        attempt: which attempt it is.
        elapsed_s: since its start.
        cpu_percent: of the last second or so; None if CPU time is not sampled.
        cpu_s: CPU time since its start, with that of its descendants.
        rss_bytes: resident memory of the worker and its descendants, at the last sample.
        peak_rss_bytes: the largest of these.
        threads: of the worker.
        children: number of descendants.
        energy: what was drawn since its start.
    """

    slot: str
    attempt: AttemptId
    elapsed_s: float
    cpu_percent: float | None = None
    cpu_s: float | None = None
    rss_bytes: int | None = None
    peak_rss_bytes: int | None = None
    threads: int | None = None
    children: int | None = None
    energy: Energy | None = None


@dataclass(slots=True)
class Snapshot:
    """What the sampler sees at one moment.

    Attributes:
        mono_ns: that moment, CLOCK_MONOTONIC.
        tasks: running ones, those that run longest first.
        more: running tasks that are not among them.
        gpus: by their number: utilisation (percent), memory in use (bytes), power (W), temperature (°C); or NaN.
        counting: how they are counted.
    """

    mono_ns: int
    tasks: list[RunningTask] = field(default_factory=list)
    more: int = 0
    gpus: dict[int, list[float]] = field(default_factory=dict)
    counting: NodeGpus = UNKNOWN_GPUS


class SharedSnapshot:
    """The latest snapshot; made before the agent becomes two processes."""

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, _SIZE)

    def ask(self) -> int:
        """Ask for a new snapshot; gives the moment, CLOCK_MONOTONIC."""
        now = time.monotonic_ns()
        _TIME.pack_into(self._map, _ASKED_AT, now)
        return now

    def is_wanted(self, mono_ns: int) -> bool:
        """Return whether somebody has asked since the last one was taken, and that was not just now."""
        (asked_ns,) = _TIME.unpack_from(self._map, _ASKED_AT)
        (taken_ns,) = _TIME.unpack_from(self._map, _HEAD_AT)
        return bool(asked_ns > taken_ns and mono_ns - taken_ns >= _SHORTEST_NS)

    def taken_ns(self) -> int:
        """Return when the last one was taken, CLOCK_MONOTONIC; 0 if there is none."""
        return int(_TIME.unpack_from(self._map, _HEAD_AT)[0])

    def write(self, snapshot: Snapshot) -> None:
        """Replace it. What does not fit is left out: those that began last."""
        body = pickle.dumps(snapshot, pickle.HIGHEST_PROTOCOL)
        while len(body) > _SIZE - _BODY_AT:
            half = len(snapshot.tasks) // 2
            snapshot.more += len(snapshot.tasks) - half
            del snapshot.tasks[half:]
            body = pickle.dumps(snapshot, pickle.HIGHEST_PROTOCOL)
        self._map[_BODY_AT : _BODY_AT + len(body)] = body
        _HEAD.pack_into(self._map, _HEAD_AT, snapshot.mono_ns, len(body), zlib.crc32(body))

    def read(self) -> Snapshot | None:
        """Return it; None if there is none yet, or if the writer was met each time."""
        for _ in range(_READS):
            taken_ns, length, checksum = _HEAD.unpack_from(self._map, _HEAD_AT)
            if not taken_ns:
                return None
            body = self._map[_BODY_AT : _BODY_AT + length]
            if zlib.crc32(body) == checksum:
                snapshot = pickle.loads(body)
                assert isinstance(snapshot, Snapshot)
                return snapshot
            time.sleep(0.001)
        return None
