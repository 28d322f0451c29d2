"""Raw readings of one process, from outside: microseconds each, see proc(5) and clock_getcpuclockid(3).

The CPU clock of another process is readable by its clock id, which has nanoseconds where ``/proc/PID/stat`` has ticks
of ten milliseconds. Of another process's single thread the kernel gives no clock; ``schedstat`` has the same number.
"""

from __future__ import annotations

import os
import time

_PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_CPUCLOCK_SCHED = 2
_MAX_THREADS = 64


class ProcessMeter:
    """Keeps the files of one process open; every reading gives None once the process is gone.

    Args:
        pid: process id.
        thread: native thread id where CPU time of that thread alone is wanted.
    """

    __slots__ = ("_clock", "_io", "_sched", "_stat", "pid")

    def __init__(self, pid: int, thread: int | None = None) -> None:
        self.pid = pid
        self._clock = (~pid << 3) | _CPUCLOCK_SCHED
        self._stat = _open(f"/proc/{pid}/stat")
        base = f"/proc/{pid}" if thread is None else f"/proc/{pid}/task/{thread}"
        self._io = _open(f"{base}/io")
        self._sched = -1 if thread is None else _open(f"{base}/schedstat")

    def cpu_ns(self) -> int | None:
        """CPU time used since its start, ns."""
        try:
            if self._sched >= 0:
                return int(os.pread(self._sched, 64, 0).split(None, 1)[0])
            return time.clock_gettime_ns(self._clock)
        except (OSError, ValueError, IndexError):
            return None

    def stat(self) -> tuple[int, int, str] | None:
        """(threads, resident bytes, state letter)."""
        try:
            data = os.pread(self._stat, 1024, 0)
            fields = data[data.rindex(b")") + 2 :].split(None, 22)
            return int(fields[17]), int(fields[21]) * _PAGE, fields[0].decode()
        except (OSError, ValueError, IndexError):
            return None

    def io(self) -> tuple[int, int] | None:
        """(characters read, characters written) through system calls since its start."""
        try:
            words = os.pread(self._io, 256, 0).split(None, 4)
            return int(words[1]), int(words[3])
        except (OSError, ValueError, IndexError):
            return None

    def children(self) -> list[int]:
        """Ids of its children, of all its threads; empty where the kernel does not list them."""
        found: list[int] = []
        try:
            threads = os.listdir(f"/proc/{self.pid}/task")[:_MAX_THREADS]
        except OSError:
            return found
        for thread in threads:
            try:
                with open(f"/proc/{self.pid}/task/{thread}/children", "rb", buffering=0) as file:
                    found.extend(int(word) for word in file.read().split())
            except OSError:
                continue
        return found

    def close(self) -> None:
        """Let the files go."""
        for fd in (self._stat, self._io, self._sched):
            if fd >= 0:
                os.close(fd)
        self._stat = self._io = self._sched = -1


def exit_code(pid: int) -> int | None:
    """Wait status of a process that has died and was not waited for yet, last field of ``/proc/PID/stat``."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            data = file.read()
        fields = data[data.rindex(b")") + 2 :].split()
        return int(fields[49]) if fields[0] in (b"Z", b"X") else None
    except (OSError, ValueError, IndexError):
        return None


def boot_offset_ns() -> int:
    """What to add to CLOCK_MONOTONIC to get time since boot, in which ``/proc`` gives the start of a process."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1
