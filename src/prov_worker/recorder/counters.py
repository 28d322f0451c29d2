"""Counters of this process, or of this thread, read before and after a task.

From getrusage(2), ``/proc/self/io`` and ``/proc/self/statm`` (proc(5)): about two microseconds a reading. Text of
``/proc/self/io`` goes into the journal as it is, because to take it apart costs more than to read it.
"""

from __future__ import annotations

import os
import resource
import threading
import time
from json.encoder import encode_basestring_ascii as quote

_PAGE = os.sysconf("SC_PAGE_SIZE")
_IO_SIZE = 256

Reading = tuple[resource.struct_rusage, "resource.struct_rusage | None", bytes]


class Counters:
    """Reads the counters of the calling process, or with ``thread`` those of the calling thread alone.

    What a thread's children used cannot be told from what other threads' children used, so it is left out there.
    """

    __slots__ = ("_children", "_io", "_statm", "_who", "cpu_ns")

    def __init__(self, thread: bool) -> None:
        self._who = resource.RUSAGE_THREAD if thread else resource.RUSAGE_SELF
        self._children = not thread
        #: CPU time of the process or thread, ns: the clock that the agent reads from outside.
        self.cpu_ns = time.thread_time_ns if thread else time.process_time_ns
        self._io = _open(f"/proc/self/task/{threading.get_native_id()}/io" if thread else "/proc/self/io")
        self._statm = _open("/proc/self/statm")

    def read(self) -> Reading:
        """Usage of this process or thread, of waited-for children, and the text of ``/proc/self/io``."""
        try:
            io = os.pread(self._io, _IO_SIZE, 0)
        except OSError:
            io = b""
        children = resource.getrusage(resource.RUSAGE_CHILDREN) if self._children else None
        return resource.getrusage(self._who), children, io

    def rss_bytes(self) -> int | None:
        """Resident memory of the process now."""
        try:
            return int(os.pread(self._statm, 64, 0).split(None, 2)[1]) * _PAGE
        except (OSError, ValueError, IndexError):
            return None

    def difference(self, before: Reading, after: Reading) -> str:
        """Fields ``u`` and ``io`` of a journal's ``end`` (:data:`prov_worker.spool.records.USAGE_FIELDS`).

        Fields are taken by position: 0 and 1 are user and system seconds, 2 the peak in kB, 6 and 7 the faults, 9 and
        10 blocks of 512 bytes read and written, 14 and 15 the switches.
        """
        (a, ca, ia), (b, cb, ib) = before, after
        children = "null,null,0"
        if cb == ca:
            if cb is not None:
                children = "0,0,0"
        elif ca is not None and cb is not None:
            peak = cb[2] if cb[2] > ca[2] else 0
            children = f"{int((cb[0] - ca[0]) * 1e6)},{int((cb[1] - ca[1]) * 1e6)},{peak}"
        peak = b[2]
        numbers = (
            f'"u":[{int((b[0] - a[0]) * 1e6)},{int((b[1] - a[1]) * 1e6)},{children},{peak},{1 if peak > a[2] else 0},'
            f"{b[6] - a[6]},{b[7] - a[7]},{b[14] - a[14]},{b[15] - a[15]},{b[9] - a[9]},{b[10] - a[10]}]"
        )
        # The descriptor may have been closed and reused by user code: believe only what looks like the file.
        if ia.startswith(b"rchar: ") and ib.startswith(b"rchar: "):
            return f'{numbers},"io":{quote((ia + ib).decode("ascii", "replace"))}'
        return numbers


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1
