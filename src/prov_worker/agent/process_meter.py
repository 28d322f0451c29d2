"""Raw readings of one process, from outside: microseconds each, see proc(5) and clock_getcpuclockid(3).

The CPU clock of another process is readable by its clock id, in nanoseconds; ``/proc/PID/stat`` has ticks of ten
milliseconds. Of another process's single thread the kernel gives no clock; ``schedstat`` has the same number.
"""

from __future__ import annotations

import fcntl
import os
import re
import signal
import struct
import time
from typing import NamedTuple

from prov_worker.open_flags import open_to_read

_PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_TICK_NS = 1_000_000_000 // TICKS_PER_S
_CPUCLOCK_SCHED = 2
_VM_HWM = re.compile(rb"^VmHWM:\s+(\d+) kB", re.MULTILINE)
_MAX_THREADS = 64
_CLOCK_LOOKS = 5
#: struct pidfd_info in its first form: mask, then cgroup and ids that are not looked at, then exit_code.
_PIDFD_INFO = struct.Struct("=Q52xi")
_PIDFD_INFO_EXIT = 1 << 3
#: _IOWR(PIDFS_IOCTL_MAGIC, 11, struct pidfd_info)
_PIDFD_GET_INFO = (3 << 30) | (_PIDFD_INFO.size << 16) | (0xFF << 8) | 11


class Stat(NamedTuple):
    """What is used of ``/proc/PID/stat`` (proc(5)).

    Attributes:
        state: letter, such as ``R`` or ``Z``.
        parent: process id of its parent.
        waited_cpu_ns: CPU time of the children that it has waited for, and of theirs, in whole ticks.
        threads: how many it has.
        start: clock ticks since boot.
    """

    state: str
    parent: int
    waited_cpu_ns: int
    threads: int
    start: int


class Io(NamedTuple):
    """Bytes of ``/proc/PID/io`` (proc(5)): of the process and, for a whole process, of children that it waited for."""

    read_chars: int = 0
    written_chars: int = 0
    read_bytes: int = 0
    written_bytes: int = 0


class ProcessMeter:
    """Keeps the files of one process open; every reading gives None once the process is gone.

    Args:
        pid: process id.
        thread: native thread id if CPU time, bytes and children of that thread alone are wanted.
    """

    __slots__ = (
        "_children",
        "_clock",
        "_io",
        "_io_bytes",
        "_io_text",
        "_pages",
        "_sched",
        "_stat",
        "_statm",
        "_statm_text",
        "_thread",
        "pid",
    )

    def __init__(self, pid: int, thread: int | None = None) -> None:
        self.pid = pid
        self._thread = thread
        self._clock = (~pid << 3) | _CPUCLOCK_SCHED
        self._stat = open_to_read(f"/proc/{pid}/stat")
        self._statm = open_to_read(f"/proc/{pid}/statm")
        self._children = open_to_read(f"/proc/{pid}/task/{thread or pid}/children")
        base = f"/proc/{pid}" if thread is None else f"/proc/{pid}/task/{thread}"
        self._io = open_to_read(f"{base}/io")
        self._sched = -1 if thread is None else open_to_read(f"{base}/schedstat")
        # most readings are as the one before: the text is kept, so that only another one is taken apart
        self._statm_text = self._io_text = b""
        self._pages = 0
        self._io_bytes = Io()

    def cpu_ns(self) -> int | None:
        """Return CPU time used since its start, ns."""
        try:
            if self._sched >= 0:
                return int(os.pread(self._sched, 64, 0).split(None, 1)[0])
            return time.clock_gettime_ns(self._clock)
        except (OSError, ValueError, IndexError):
            return None

    def rss_bytes(self) -> int | None:
        """Return resident bytes."""
        try:
            text = os.pread(self._statm, 64, 0)
            if text != self._statm_text:
                self._pages, self._statm_text = int(text.split(None, 2)[1]), text
            return self._pages * _PAGE
        except (OSError, ValueError, IndexError):
            return None

    def stat(self) -> Stat | None:
        """Return state, parent, children's CPU time, threads and start; dearer than the other readings."""
        try:
            data = os.pread(self._stat, 1024, 0)
            fields = data[data.rindex(b")") + 2 :].split(None, 20)
            waited_cpu_ns = (int(fields[13]) + int(fields[14])) * _TICK_NS
            return Stat(fields[0].decode(), int(fields[1]), waited_cpu_ns, int(fields[17]), int(fields[19]))
        except (OSError, ValueError, IndexError):
            return None

    def status(self) -> tuple[int | None, bool]:
        """Return its own peak of resident memory (``VmHWM``), bytes, and whether it ignores SIGCHLD.

        A process that ignores SIGCHLD has children that nobody can wait for: what they used is in no counter
        (sigaction(2)).
        """
        try:
            with open(f"/proc/{self.pid}/status", "rb", buffering=0) as file:
                text = file.read(4096)
            mark = _VM_HWM.search(text)
            ignored = int(text.partition(b"SigIgn:")[2].split(None, 1)[0], 16)
        except (OSError, ValueError, IndexError):
            return None, False
        return int(mark[1]) * 1024 if mark else None, bool(ignored >> (signal.SIGCHLD - 1) & 1)

    def io(self) -> Io | None:
        """Return bytes read and written since its start, by system calls and from and to storage."""
        try:
            text = os.pread(self._io, 256, 0)
            if text != self._io_text:
                fields = text.split(None, 12)
                self._io_bytes = Io(int(fields[1]), int(fields[3]), int(fields[9]), int(fields[11]))
                self._io_text = text
            return self._io_bytes
        except (OSError, ValueError, IndexError):
            return None

    def first_children(self) -> bytes:
        """Return ids of the children of its first thread, as the kernel writes them: cheap enough for every tick."""
        try:
            return os.pread(self._children, 1 << 16, 0)
        except OSError:
            return b""

    def children(self, threads: int | None) -> list[int]:
        """Return ids of its children; empty if the kernel does not list them.

        Args:
            threads: how many threads it has: with one alone a single reading tells; None looks at all there are.
        """
        pids = [int(word) for word in self.first_children().split()]
        if threads == 1 or self._thread is not None:
            return pids
        try:
            others = os.listdir(f"/proc/{self.pid}/task")[:_MAX_THREADS]
        except OSError:
            return pids
        for thread in others:
            if thread == str(self.pid):
                continue
            try:
                with open(f"/proc/{self.pid}/task/{thread}/children", "rb", buffering=0) as file:
                    pids.extend(int(word) for word in file.read().split())
            except (OSError, ValueError):
                continue
        return pids

    def close(self) -> None:
        """Close the files."""
        for fd in (self._stat, self._statm, self._io, self._sched, self._children):
            if fd >= 0:
                os.close(fd)
        self._stat = self._statm = self._io = self._sched = self._children = -1


def exit_code(pid: int) -> int | None:
    """Wait status of a process that has died and was not waited for yet, last field of ``/proc/PID/stat``."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            data = file.read()
        fields = data[data.rindex(b")") + 2 :].split()
        return int(fields[49]) if fields[0] in (b"Z", b"X") else None
    except (OSError, ValueError, IndexError):
        return None


def reaped_exit_code(pidfd: int) -> int | None:
    """Wait status of a process that has been waited for, by a descriptor that was opened before; None if untold.

    ``PIDFD_GET_INFO`` with ``PIDFD_INFO_EXIT`` (include/uapi/linux/pidfd.h), since Linux 6.15.
    """
    info = bytearray(_PIDFD_INFO.size)
    _PIDFD_INFO.pack_into(info, 0, _PIDFD_INFO_EXIT, 0)  # asked for: without it there is no answer for the dead
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, info)
    except (OSError, ValueError):
        return None
    mask, status = _PIDFD_INFO.unpack(info)
    return int(status) if mask & _PIDFD_INFO_EXIT else None


def boot_offset_ns() -> int:
    """Return what to add to CLOCK_MONOTONIC to get time since boot, in which ``/proc`` gives the start of a process."""
    # both clocks at one moment: of some looks the one in which least time passed
    looks = []
    for _ in range(_CLOCK_LOOKS):
        before = time.monotonic_ns()
        boot = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        after = time.monotonic_ns()
        looks.append((after - before, boot - (before + after) // 2))
    return min(looks)[1]
