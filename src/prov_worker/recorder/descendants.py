"""Counters of a worker's descendants at the very start and end of a task, which the agent sees some moments late.

The agent finds the descendants and names them in the slot. Of each the worker reads the clock (clock_getcpuclockid(3)),
what the children took that it has waited for, and its bytes (proc(5)): ten to twenty microseconds each, and nothing if
there are none. What they did between two tasks, or in the moment until the agent looks, is then no other task's.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence

from prov_worker.interruptions import is_own
from prov_worker.open_flags import open_to_read
from prov_worker.spool.slot import LISTED, Slot

_CPUCLOCK_SCHED = 2
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_NO_BYTES = (None, None, None, None)


class _Reading:
    """Counters of one descendant: of itself, and of the children that it has waited for."""

    __slots__ = ("cpu_ns", "io", "ran", "waited_ns")

    def __init__(self, cpu_ns: int, waited_ns: int, ran: bool, io: Sequence[int | None]) -> None:
        self.cpu_ns = cpu_ns
        self.waited_ns = waited_ns
        self.ran = ran
        self.io = io


class Descendants:
    """Reads the counters of one worker's descendants.

    Args:
        thread: native thread id whose children are looked at.

    Attributes:
        any: false if there were none at the begin of the last task nor at its end.
    """

    __slots__ = ("_begun", "_children", "_ended", "_file", "any")

    def __init__(self, thread: int) -> None:
        self._children = open_to_read(f"/proc/self/task/{thread}/children")
        self._file = os.fstat(self._children)[1:3] if self._children >= 0 else None
        self._begun: dict[int, _Reading] = {}
        self._ended: list[int] = []
        self.any = False

    def begin(self, slot: Slot) -> None:
        """Read counters at the start of a task, before the slot says that it runs."""
        if self._begun:
            self._begun = {}
        named = slot.descendants()
        if not named and not self._ended:
            self.any = False
            return
        self.any = True
        # also those that the agent has not seen yet
        for pid in dict.fromkeys((*self._ended, *(pid for pid, _ in named))):
            reading = _read(pid)
            if reading is not None:
                self._begun[pid] = reading
        slot.note_descendants([(pid, each.cpu_ns + each.waited_ns, each.ran) for pid, each in self._begun.items()])

    def are_there(self, slot: Slot) -> bool:
        """Return whether there is anything to read at the end of a task, but for what the agent has not seen yet."""
        if slot.halves[LISTED] or self._begun:
            return True
        self._ended.clear()
        self.any = False
        return False

    def field(self, slot: Slot, look: bool) -> str:
        """Read counters at the end of a task.

        Args:
            slot: names the descendants.
            look: for children that the agent has not seen yet, too.

        Returns:
            Field ``kin`` of a journal's ``end`` with the comma before it; empty if there are no descendants.
        """
        named = slot.descendants()
        direct = self._direct() if look else ()
        if not direct and not self.are_there(slot):
            return ""
        self.any = True
        self._ended = []
        rows = []
        for pid in dict.fromkeys((*direct, *self._begun, *(pid for pid, _ in named))):
            begun, ended = self._begun.get(pid), _read(pid)
            if ended is not None:
                self._ended.append(pid)
            rows.append(
                [
                    pid,
                    None if begun is None else begun.cpu_ns,
                    None if ended is None else ended.cpu_ns,
                    int(begun is not None and begun.ran),
                    0 if begun is None else begun.waited_ns,
                    0 if ended is None else ended.waited_ns,
                    *(_NO_BYTES if begun is None else begun.io),
                    *(_NO_BYTES if ended is None else ended.io),
                ]
            )
        return f',"kin":{json.dumps(rows)}'

    def _direct(self) -> Sequence[int]:
        try:
            if os.fstat(self._children)[1:3] != self._file:
                return []  # user code has closed the descriptor, and opened another file
            text = os.pread(self._children, 4096, 0)
            return [int(word) for word in text[: text.rfind(b" ") + 1].split()]
        except (OSError, ValueError) as error:
            if not is_own(error):
                raise
            return []


def _read(pid: int) -> _Reading | None:
    """Read one descendant; None if it is gone."""
    try:
        cpu_ns = time.clock_gettime_ns((~pid << 3) | _CPUCLOCK_SCHED)
        data = _content(f"/proc/{pid}/stat")
        # from the third on: the second, the name, may hold spaces and brackets
        fields = data[data.rindex(b")") + 2 :].split(None, 15)
        ran, waited_ns = fields[0] == b"R", (int(fields[13]) + int(fields[14])) * _TICK_NS
    except (OSError, ValueError, IndexError) as error:
        if not is_own(error):
            raise
        return None
    io: Sequence[int | None] = _NO_BYTES
    try:
        fields = _content(f"/proc/{pid}/io").split(None, 12)
        io = int(fields[1]), int(fields[3]), int(fields[9]), int(fields[11])
    except (OSError, ValueError, IndexError) as error:
        if not is_own(error):
            raise
    return _Reading(cpu_ns, waited_ns, ran, io)


def _content(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 1024)
    finally:
        os.close(descriptor)
