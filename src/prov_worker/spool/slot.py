"""The slot: one page of shared memory per worker that says what it runs now.

Written by its worker without locks and read by the node's agent at each tick (:mod:`prov_worker.spool.slot_reader`). A
record stands between two sequence numbers; a reader that finds them at odds, or finds two readings different, has met
the writer and reads again. An odd sequence means that a task runs. The file is allocated in full when it is made, so
that a full tmpfs cannot turn a store into SIGBUS. Little-endian, 4096 bytes:

======  =====  ==========================================================
offset  type   content
======  =====  ==========================================================
0       8s     ``PRVSLT01``
8       I      process id
12      I      native thread id, 0 if the task has the whole process,
               2**32-1 once its maker has given it up
16      Q      start of the process, clock ticks since boot
24      d      seconds between samples that this worker asks for
32      Q      sequence (2n-1: n-th task runs; 2n: it ended)
40      q      wall clock at the task's start, ns since the epoch
48      q      CLOCK_MONOTONIC at the task's start, ns
56      q      CPU clock of the process (or thread) at the start, ns
64      16s    task id
80      Q      attempt
88      Q      the odd sequence of the task again, 0 before the first
96      Q      of releases without rings: sequence of the task whose
               ``start`` line follows
104     H      length of that line, which follows
106     QIH16s sequence of the task whose start is in no ring, number of its
               function, length of more fields of its ``start`` line, which
               follow, and the function's id
1976    8d     seconds between readings of each type of telemetry, in the
               order of :class:`prov_worker.settings.Telemetry`; -1 is off
2040    Q      written by the agent: last sequence whose crate is on disk
2048    H      length of the journal's path, which follows
3072    H      written by the agent: number of the worker's descendants
3080    IQ     of each: process id, CPU time (ns) of the children that it
               has waited for; 32 at most
3472    QH     sequence of a task, and number of descendants that the
               worker looked at when it began
3482    IQB    of each: process id, CPU time (ns) with that of children
               that it had waited for, and 1 if it ran at that moment
3904    QQ     sequence of a task that has a time limit, and the limit, ns
======  =====  ==========================================================
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Sequence

from prov_worker.spool.own_files import allocate, leads_to, open_own

SIZE = 4096
MAGIC = b"PRVSLT01"
HEAD = struct.Struct("<8sIIQd")
_THREAD = struct.Struct("<I")
THREAD_AT = 12
LET_GO = (1 << 32) - 1
TASK = struct.Struct("<Qqqq16sQQ")
ACK = struct.Struct("<Q")
LENGTH = struct.Struct("<H")
PLAN = struct.Struct("<8d")
PLAN_AT = 1976
TASK_AT = 32
ACK_AT = 2040
PATH_AT = 2048
NOTE = struct.Struct("<QH")
NOTE_AT = 96
NOTE_TEXT_AT = NOTE_AT + NOTE.size
START = struct.Struct("<QIH16s")
START_TEXT_AT = NOTE_TEXT_AT + START.size
#: Most bytes of more fields of a start that a slot can hold.
NOTE_LIMIT = PLAN_AT - START_TEXT_AT
#: In the environment of all that a worker starts: ``PID-START`` of the worker, start as in the slot.
MARK = "PROV_WORKER_PROCESS"
#: In the place of an interval: not at all.
OFF = -1.0
#: Longest path of a journal, bytes.
PATH_LIMIT = 1022
DESCENDANT = struct.Struct("<IQ")
LISTED_COUNT_AT, LISTED_AT = 3072, 3080
#: Which of :attr:`Slot.halves` is the number of descendants.
LISTED = LISTED_COUNT_AT >> 1
LOOKED = struct.Struct("<QH")
BEGUN = struct.Struct("<IQB")
LOOKED_AT = 3472
LIMIT = struct.Struct("<QQ")
LIMIT_AT = 3904
BEGUN_AT = LOOKED_AT + LOOKED.size
#: Most descendants that a slot can name.
MAX_DESCENDANTS = 32


class Slot:
    """The writing side, owned by one worker.

    Attributes:
        halves: the page in words of 2 bytes.
    """

    __slots__ = ("_inode", "_map", "_note", "_pack", "_words", "halves", "path", "sequence")

    def __init__(
        self,
        path: str,
        pid: int,
        thread: int,
        start: int,
        interval_s: float,
        journal: str,
        telemetry: Sequence[float] = (),
    ) -> None:
        """Make the file; one that a dead process of the same id left is replaced.

        ``telemetry`` has an interval for each type, or :data:`OFF`; empty, all have ``interval_s``.

        Raises:
            OSError: the file cannot be made, or there is no space for it.
            ValueError: the journal's path is too long for the page.
        """
        encoded = os.fsencode(journal)
        if len(encoded) > PATH_LIMIT:
            raise ValueError("path of the journal is too long for a slot")
        beside = f"{path}.{pid}.new"
        self._map, self._inode = _map_new(beside)
        HEAD.pack_into(self._map, 0, MAGIC, pid, thread, start, interval_s)
        PLAN.pack_into(self._map, PLAN_AT, *(telemetry or (interval_s,) * 8))
        LENGTH.pack_into(self._map, PATH_AT, len(encoded))
        self._map[PATH_AT + 2 : PATH_AT + 2 + len(encoded)] = encoded
        os.rename(beside, path)
        self.path = path
        self.sequence = 0
        self._take_memory()

    def _take_memory(self) -> None:
        self._pack, self._note = TASK.pack_into, START.pack_into
        self.halves, self._words = memoryview(self._map).cast("H"), memoryview(self._map).cast("Q")

    @classmethod
    def in_memory(cls) -> Slot:
        """Return a slot that nobody reads, for a worker that can make no file: its tasks are in its journal alone."""
        slot = cls.__new__(cls)
        slot._map, slot._inode = mmap.mmap(-1, SIZE), (0, 0)
        slot.path = ""
        slot.sequence = 0
        slot._take_memory()
        return slot

    def is_there(self) -> bool:
        """Return whether its file still is what its path leads to, as of a ring; one that nobody sees has none."""
        return not self.path or leads_to(self.path, self._inode)

    def make_again(self) -> None:
        """Make the file again, between two tasks, with all that it said; an agent that sees the old one lets it go.

        Raises:
            OSError: as above.
        """
        before, views = self._map, (self.halves, self._words)
        beside = f"{self.path}.{os.getpid()}.new"
        memory, inode = _map_new(beside)
        memory[:] = before[:]
        os.rename(beside, self.path)
        self.let_go()
        self._map, self._inode = memory, inode
        self._take_memory()
        for view in views:
            view.release()
        before.close()

    def begin(self, start_ns: int, mono_ns: int, cpu_ns: int, task: bytes, attempt: int) -> int:
        """Say that a task runs; gives its sequence number. ``task`` is 16 bytes."""
        self.sequence = sequence = self.sequence + 1 + (self.sequence & 1)
        self._pack(self._map, TASK_AT, sequence, start_ns, mono_ns, cpu_ns, task, attempt, sequence)
        return sequence

    def note(self, number: int, function_id: bytes, more: bytes) -> None:
        """Keep here, and in no ring, how the running task began.

        Args:
            number: of its function.
            function_id: 16 bytes.
            more: fields of its ``start`` line with a comma before each, at most :data:`NOTE_LIMIT` bytes.
        """
        if more:
            self._map[START_TEXT_AT : START_TEXT_AT + len(more)] = more
        self._note(self._map, NOTE_TEXT_AT, self.sequence, number, len(more), function_id)

    def descendants(self) -> Sequence[tuple[int, int]]:
        """Return what the agent saw of this process's tree: ids, and CPU time (ns) of children each has awaited."""
        count = self.halves[LISTED]
        if not count:
            return ()
        return list(
            DESCENDANT.iter_unpack(self._map[LISTED_AT : LISTED_AT + DESCENDANT.size * min(count, MAX_DESCENDANTS)])
        )

    def note_descendants(self, begun: Sequence[tuple[int, int, bool]]) -> None:
        """Say what descendants had used when the next task begins: id, ns, and whether it ran at that moment."""
        for number, entry in enumerate(begun[:MAX_DESCENDANTS]):
            BEGUN.pack_into(self._map, BEGUN_AT + number * BEGUN.size, *entry)
        LOOKED.pack_into(
            self._map, LOOKED_AT, self.sequence + 1 + (self.sequence & 1), min(len(begun), MAX_DESCENDANTS)
        )

    def limit(self, limit_ns: int) -> None:
        """Say how long the next task may take, ns: the agent ends the worker then."""
        LIMIT.pack_into(self._map, LIMIT_AT, self.sequence + 1 + (self.sequence & 1), limit_ns)

    def end(self) -> None:
        """Say that it ended; what it was stays readable until the next one."""
        self.sequence = sequence = self.sequence + (self.sequence & 1)
        self._words[TASK_AT >> 3] = sequence

    def let_go(self) -> None:
        """Say that nothing runs here any more, though the process lives on: no agent stays for it."""
        _THREAD.pack_into(self._map, THREAD_AT, LET_GO)

    def finished(self) -> int:
        """Return last sequence whose crate the agent has published."""
        return int(ACK.unpack_from(self._map, ACK_AT)[0])


def _map_new(path: str) -> tuple[mmap.mmap, tuple[int, int]]:
    """Make a file of a slot's size, and map it; also gives what tells it from others."""
    descriptor = open_own(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        allocate(descriptor, SIZE)
        status = os.fstat(descriptor)
        return mmap.mmap(descriptor, SIZE), (status.st_dev, status.st_ino)
    finally:
        os.close(descriptor)
