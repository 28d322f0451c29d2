"""Raw readings of one process, from outside: microseconds each, see proc(5) and clock_getcpuclockid(3).

The CPU clock of another process is readable by its clock id, which has nanoseconds where ``/proc/PID/stat`` has ticks
of ten milliseconds. Of another process's single thread the kernel gives no clock; ``schedstat`` has the same number.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time

from prov_worker.files import open_to_read

_PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_CPUCLOCK_SCHED = 2
_MAX_THREADS = 64
#: struct pidfd_info in its first form: mask, then cgroup and ids that are not looked at, then exit_code.
_PIDFD_INFO = struct.Struct("=Q52xi")
_PIDFD_INFO_EXIT = 1 << 3
#: _IOWR(PIDFS_IOCTL_MAGIC, 11, struct pidfd_info)
_PIDFD_GET_INFO = (3 << 30) | (_PIDFD_INFO.size << 16) | (0xFF << 8) | 11


class ProcessMeter:
    """Keeps the files of one process open; every reading gives None once the process is gone.

    Args:
        pid: process id.
        thread: native thread id where CPU time of that thread alone is wanted.
    """

    __slots__ = ("_children", "_clock", "_io", "_sched", "_stat", "_statm", "pid")

    def __init__(self, pid: int, thread: int | None = None) -> None:
        self.pid = pid
        self._clock = (~pid << 3) | _CPUCLOCK_SCHED
        self._stat = open_to_read(f"/proc/{pid}/stat")
        self._statm = open_to_read(f"/proc/{pid}/statm")
        self._children = open_to_read(f"/proc/{pid}/task/{pid}/children")
        base = f"/proc/{pid}" if thread is None else f"/proc/{pid}/task/{thread}"
        self._io = open_to_read(f"{base}/io")
        self._sched = -1 if thread is None else open_to_read(f"{base}/schedstat")

    def cpu_ns(self) -> int | None:
        """CPU time used since its start, ns."""
        try:
            if self._sched >= 0:
                return int(os.pread(self._sched, 64, 0).split(None, 1)[0])
            return time.clock_gettime_ns(self._clock)
        except (OSError, ValueError, IndexError):
            return None

    def rss_bytes(self) -> int | None:
        """Resident bytes."""
        try:
            return int(os.pread(self._statm, 64, 0).split(None, 2)[1]) * _PAGE
        except (OSError, ValueError, IndexError):
            return None

    def threads(self) -> int | None:
        """Number of threads; dearer than the other readings."""
        try:
            data = os.pread(self._stat, 1024, 0)
            return int(data[data.rindex(b")") + 2 :].split(None, 18)[17])
        except (OSError, ValueError, IndexError):
            return None

    def io(self) -> tuple[int, int] | None:
        """(characters read, characters written) through system calls since its start."""
        try:
            fields = os.pread(self._io, 256, 0).split(None, 4)
            return int(fields[1]), int(fields[3])
        except (OSError, ValueError, IndexError):
            return None

    def children(self, threads: int | None) -> list[int]:
        """Ids of its children; empty where the kernel does not list them.

        Args:
            threads: how many threads it has: with one alone a single reading tells; None looks at all there are.
        """
        try:
            pids = [int(word) for word in os.pread(self._children, 1 << 16, 0).split()]
        except (OSError, ValueError):
            pids = []
        if threads == 1:
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
        """Let the files go."""
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
    """Wait status of a process that has been waited for, by a descriptor that was opened before; None where untold.

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
    """What to add to CLOCK_MONOTONIC to get time since boot, in which ``/proc`` gives the start of a process."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()
