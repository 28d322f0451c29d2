"""Counters of this process, or of this thread, read before and after a task (:mod:`prov_worker.counters`).

From getrusage(2), ``/proc/self/io`` and ``/proc/self/statm`` (proc(5)). Text of ``/proc/self/io`` goes into the journal
as it is, because to take it apart costs more than to read it.
"""

from __future__ import annotations

import os
import resource
import threading

from prov_worker.interruptions import is_own
from prov_worker.open_flags import open_to_read
from prov_worker.spool.ring_records import BLOCKS, CHILDREN, PACK_END, ROSE

_PAGE = os.sysconf("SC_PAGE_SIZE")
_IO_SIZE = 256
_UNCOUNTED_KB = 1024


class Counters:
    """Reads the counters of the calling process, or with ``thread`` those of the calling thread alone.

    What a thread's children used is known only if no other task ran in the process meanwhile: getrusage(2) has the
    children of a process, not those of a thread.
    """

    __slots__ = (
        "_after",
        "_alone",
        "_before",
        "_children_after",
        "_children_before",
        "_io",
        "_statm",
        "_thread",
        "_who",
    )

    def __init__(self, thread: bool) -> None:
        self._who = resource.RUSAGE_THREAD if thread else resource.RUSAGE_SELF
        self._thread = thread
        self._io = open_to_read(f"/proc/self/task/{threading.get_native_id()}/io" if thread else "/proc/self/io")
        self._statm = open_to_read("/proc/self/statm")
        self._alone = True
        self._before = self._after = resource.getrusage(self._who)
        self._children_before = self._children_after = resource.getrusage(resource.RUSAGE_CHILDREN)

    def begin(self) -> float:
        """Read the counters at the start of a task; gives the CPU seconds so far."""
        if self._thread:
            self._enter()
        self._children_before = resource.getrusage(resource.RUSAGE_CHILDREN)
        self._before = before = resource.getrusage(self._who)
        return before[0] + before[1]

    def end(self) -> None:
        """Read the counters at the end of a task."""
        self._after = resource.getrusage(self._who)
        self._children_after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if self._thread:
            _running.discard(self)

    def children_peak_kb(self) -> int:
        """Return the peak of the largest child that was waited for in the task; 0 if that is not known.

        ``ru_maxrss`` of children begins with the mark of the parent, by way of vfork(2), and never falls. Beyond both,
        and beyond what processors have not added up yet (proc(5) on statm), it is a child's own.
        """
        peak, own = self._children_after[2], self._after[2]
        rose = peak > self._children_before[2] and peak > own + max(_UNCOUNTED_KB, own // 50)
        return peak if rose and self._alone else 0

    def skip(self) -> None:
        """Pass over a task whose counters nobody asks for."""
        if self._thread:
            _running.discard(self)

    def _enter(self) -> None:
        _running.add(self)  # before the look, so that of two that begin at once both see the other
        others = [other for other in tuple(_running) if other is not self]
        self._alone = not others
        for other in others:
            other._alone = False

    def record(
        self,
        kind: int,
        flags: int,
        attempt: int,
        start_ns: int,
        mono_ns: int,
        duration: int,
        task: bytes,
        function_id: bytes,
        number: int,
    ) -> bytes:
        """Pack an end (:data:`prov_worker.spool.ring_records.PACK_END`) with what was used since :meth:`begin`.

        Fields of getrusage(2) are taken by position: 0 and 1 are user and system seconds, 2 the peak in kB, 6 and 7 the
        faults, 9 and 10 blocks of 512 bytes read and written, 14 and 15 the switches. Blocks are those of the task and
        of waited-for children. What the largest child had at its peak is not there: Linux starts that with the peak of
        the parent (execve(2) after vfork(2) keeps the larger of both), so that it says nothing of the child.
        """
        a, b, c, d = self._before, self._after, self._children_before, self._children_after
        read, written, user, system = b[9] - a[9], b[10] - a[10], 0.0, 0.0
        flags |= BLOCKS
        if self._alone:
            flags |= CHILDREN
            if c != d:
                user, system = d[0] - c[0], d[1] - c[1]
                read += d[9] - c[9]
                written += d[10] - c[10]
        peak = b[2]
        if peak > a[2]:
            flags |= ROSE
        return PACK_END.pack(
            kind, flags, 0, attempt, start_ns, mono_ns, duration, task, function_id, number,
            b[0] - a[0], b[1] - a[1], user, system,
            peak, b[6] - a[6], b[7] - a[7], b[14] - a[14], b[15] - a[15], read, written,
        )  # fmt: skip

    def io(self) -> bytes:
        """Return text of ``/proc/self/io``; empty if it cannot be read."""
        try:
            text = os.pread(self._io, _IO_SIZE, 0)
        except OSError as error:
            if not is_own(error):
                raise
            return b""
        # The descriptor may have been closed and reused by user code: believe only what looks like the file.
        return text if text.startswith(b"rchar: ") else b""

    def rss_bytes(self) -> int | None:
        """Return resident memory of the process now."""
        try:
            return int(os.pread(self._statm, 64, 0).split(None, 2)[1]) * _PAGE
        except (OSError, ValueError, IndexError) as error:
            if not is_own(error):
                raise
            return None


#: Counters of the tasks that run in threads of this process.
_running: set[Counters] = set()
