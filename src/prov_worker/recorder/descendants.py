"""Clocks of a worker's descendants at the very start and end of a task, which the agent sees tens of milliseconds late.

The agent finds the descendants and names them in the slot; the worker reads no more than their clocks, half a
microsecond each (clock_getcpuclockid(3)), and nothing if there are none.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence

from prov_worker.files import open_to_read
from prov_worker.processes import process_state
from prov_worker.spool.slot import Slot

_CPUCLOCK_SCHED = 2


class Descendants:
    """Reads the clocks of one worker's descendants.

    Args:
        thread: native thread id whose children are looked at.

    Attributes:
        any: false if there were none at the begin of the last task nor at its end.
    """

    __slots__ = ("_begun", "_children", "_ended", "_file", "any")

    def __init__(self, thread: int) -> None:
        self._children = open_to_read(f"/proc/self/task/{thread}/children")
        self._file = os.fstat(self._children)[1:3] if self._children >= 0 else None
        self._begun: dict[int, tuple[int, bool, int]] = {}
        self._ended: dict[int, int] = {}
        self.any = False

    def begin(self, slot: Slot) -> None:
        """Read clocks at the start of a task, before the slot says that it runs."""
        if self._begun:
            self._begun = {}
        named = slot.descendants()
        if not named and not self._ended:
            self.any = False
            return
        self.any = True
        listed = dict.fromkeys(self._ended, 0)  # also those that the agent has not seen yet
        listed.update(named)
        for pid, waited_ns in listed.items():
            cpu_ns = _cpu_ns(pid)
            if cpu_ns is not None:
                ran = process_state(pid) == "R"
                self._begun[pid] = cpu_ns, ran, waited_ns
        slot.note_descendants([(pid, cpu_ns + waited_ns, ran) for pid, (cpu_ns, ran, waited_ns) in self._begun.items()])

    def field(self, slot: Slot, look: bool) -> str:
        """Read clocks at the end of a task.

        Args:
            slot: names the descendants.
            look: for children that the agent has not seen yet, too.

        Returns:
            Field ``kin`` of a journal's ``end`` with the comma before it; empty if there are no descendants.
        """
        named = slot.descendants()
        direct = self._direct() if look else ()
        if not named and not direct and not self._begun:
            self._ended.clear()
            self.any = False
            return ""
        self.any = True
        pids = dict.fromkeys((*direct, *self._begun, *(pid for pid, _ in named)))
        self._ended = {}
        rows = []
        for pid in pids:
            end_ns = _cpu_ns(pid)
            if end_ns is not None:
                self._ended[pid] = end_ns
            begun_ns, ran, waited_ns = self._begun.get(pid, (None, False, 0))
            rows.append([pid, begun_ns, end_ns, int(ran), waited_ns])
        return f',"kin":{json.dumps(rows)}'

    def _direct(self) -> Sequence[int]:
        try:
            if os.fstat(self._children)[1:3] != self._file:
                return []  # user code has closed the descriptor, and opened another file
            text = os.pread(self._children, 4096, 0)
            return [int(word) for word in text[: text.rfind(b" ") + 1].split()]
        except (OSError, ValueError):
            return []


def _cpu_ns(pid: int) -> int | None:
    try:
        return time.clock_gettime_ns((~pid << 3) | _CPUCLOCK_SCHED)
    except OSError:
        return None
