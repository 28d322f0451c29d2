"""The slot: one page of shared memory per worker that says what it runs now.

Written by its worker without locks and read by the node's agent at each tick. The record stands between two sequence
numbers; a reader that finds them at odds, or finds two readings different, has met the writer and reads again. An odd
sequence means that a task runs. The file is allocated in full when it is made, so that a full tmpfs cannot turn a store
into SIGBUS. Little-endian, 4096 bytes:

======  =====  ==========================================================
offset  type   content
======  =====  ==========================================================
0       8s     ``PRVSLT01``
8       I      process id
12      I      native thread id, 0 if the task has the whole process,
               2**32-1 once its maker has let it go
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
from typing import NamedTuple

from prov_worker.errors import SpoolError
from prov_worker.spool.own_files import allocate, leads_to, open_own
from prov_worker.spool.paths import JOURNAL_SUFFIX
from prov_worker.spool.ring_records import start_line

SIZE = 4096
MAGIC = b"PRVSLT01"
_HEAD = struct.Struct("<8sIIQd")
_THREAD = struct.Struct("<I")
_THREAD_AT = 12
_LET_GO = (1 << 32) - 1
_TASK = struct.Struct("<Qqqq16sQQ")
_ACK = struct.Struct("<Q")
_LENGTH = struct.Struct("<H")
_PLAN = struct.Struct("<8d")
_PLAN_AT = 1976
_TASK_AT = 32
_ACK_AT = 2040
_PATH_AT = 2048
_NOTE = struct.Struct("<QH")
_NOTE_AT = 96
_NOTE_TEXT_AT = _NOTE_AT + _NOTE.size
_START = struct.Struct("<QIH16s")
_START_TEXT_AT = _NOTE_TEXT_AT + _START.size
#: Most bytes of more fields of a start that a slot can hold.
NOTE_LIMIT = _PLAN_AT - _START_TEXT_AT
#: In the environment of all that a worker starts: ``PID-START`` of the worker, start as in the slot.
MARK = "PROV_WORKER_PROCESS"
#: In the place of an interval: not at all.
OFF = -1.0
#: Longest path of a journal, bytes.
_PATH_LIMIT = 1022
_COUNT = struct.Struct("<H")
_LISTED = struct.Struct("<IQ")
_LISTED_COUNT_AT, _LISTED_AT = 3072, 3080
#: Which of :attr:`Slot.halves` is the number of descendants.
LISTED = _LISTED_COUNT_AT >> 1
_LOOKED = struct.Struct("<QH")
_BEGUN = struct.Struct("<IQB")
_LOOKED_AT = 3472
_LIMIT = struct.Struct("<QQ")
_LIMIT_AT = 3904
_BEGUN_AT = _LOOKED_AT + _LOOKED.size
#: Most descendants that a slot can name.
MAX_DESCENDANTS = 32
_READS = 4
_MAX_PID = 1 << 22


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
        if len(encoded) > _PATH_LIMIT:
            raise ValueError("path of the journal is too long for a slot")
        beside = f"{path}.{pid}.new"
        self._map, self._inode = _map_new(beside)
        _HEAD.pack_into(self._map, 0, MAGIC, pid, thread, start, interval_s)
        _PLAN.pack_into(self._map, _PLAN_AT, *(telemetry or (interval_s,) * 8))
        _LENGTH.pack_into(self._map, _PATH_AT, len(encoded))
        self._map[_PATH_AT + 2 : _PATH_AT + 2 + len(encoded)] = encoded
        os.rename(beside, path)
        self.path = path
        self.sequence = 0
        self._take_memory()

    def _take_memory(self) -> None:
        self._pack, self._note = _TASK.pack_into, _START.pack_into
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
        self._pack(self._map, _TASK_AT, sequence, start_ns, mono_ns, cpu_ns, task, attempt, sequence)
        return sequence

    def note(self, number: int, function_id: bytes, more: bytes) -> None:
        """Keep here, and in no ring, how the running task began.

        Args:
            number: of its function.
            function_id: 16 bytes.
            more: fields of its ``start`` line with a comma before each, at most :data:`NOTE_LIMIT` bytes.
        """
        if more:
            self._map[_START_TEXT_AT : _START_TEXT_AT + len(more)] = more
        self._note(self._map, _NOTE_TEXT_AT, self.sequence, number, len(more), function_id)

    def descendants(self) -> Sequence[tuple[int, int]]:
        """Return what the agent saw of this process's tree: ids, and CPU time (ns) of children each has awaited."""
        count = self.halves[LISTED]
        if not count:
            return ()
        return list(
            _LISTED.iter_unpack(self._map[_LISTED_AT : _LISTED_AT + _LISTED.size * min(count, MAX_DESCENDANTS)])
        )

    def note_descendants(self, begun: Sequence[tuple[int, int, bool]]) -> None:
        """Say what descendants had used when the next task begins: id, ns, and whether it ran at that moment."""
        for number, entry in enumerate(begun[:MAX_DESCENDANTS]):
            _BEGUN.pack_into(self._map, _BEGUN_AT + number * _BEGUN.size, *entry)
        _LOOKED.pack_into(
            self._map, _LOOKED_AT, self.sequence + 1 + (self.sequence & 1), min(len(begun), MAX_DESCENDANTS)
        )

    def limit(self, limit_ns: int) -> None:
        """Say how long the next task may take, ns: the agent ends the worker then."""
        _LIMIT.pack_into(self._map, _LIMIT_AT, self.sequence + 1 + (self.sequence & 1), limit_ns)

    def end(self) -> None:
        """Say that it ended; what it was stays readable until the next one."""
        self.sequence = sequence = self.sequence + (self.sequence & 1)
        self._words[_TASK_AT >> 3] = sequence

    def let_go(self) -> None:
        """Say that nothing runs here any more, though the process lives on: no agent stays for it."""
        _THREAD.pack_into(self._map, _THREAD_AT, _LET_GO)

    def finished(self) -> int:
        """Return last sequence whose crate the agent has published."""
        return int(_ACK.unpack_from(self._map, _ACK_AT)[0])


def _map_new(path: str) -> tuple[mmap.mmap, tuple[int, int]]:
    """Make a file of a slot's size, and map it; also gives what tells it from others."""
    descriptor = open_own(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        allocate(descriptor, SIZE)
        status = os.fstat(descriptor)
        return mmap.mmap(descriptor, SIZE), (status.st_dev, status.st_ino)
    finally:
        os.close(descriptor)


class SlotTask(NamedTuple):
    """What a slot says at one moment. ``task`` is empty bytes before the first task."""

    sequence: int
    start_ns: int
    mono_ns: int
    cpu_ns: int
    task: bytes
    attempt: int

    @property
    def running(self) -> bool:
        """Whether the task runs at this moment."""
        return bool(self.sequence & 1)


class SlotReader:
    """The reading side, owned by the agent. Attributes are those of the page's head."""

    __slots__ = (
        "_map",
        "_path_length",
        "_pieces",
        "_words",
        "interval_s",
        "journal",
        "path",
        "pid",
        "start",
        "telemetry",
        "thread",
    )

    def __init__(self, path: str) -> None:
        """Open a slot.

        Raises:
            SpoolError: the file is not a slot.
        """
        try:
            fd = open_own(path, os.O_RDWR)
            try:
                self._map = mmap.mmap(fd, SIZE)
            finally:
                os.close(fd)
            magic, self.pid, thread, self.start, self.interval_s = _HEAD.unpack_from(self._map, 0)
            self.telemetry: tuple[float, ...] = _PLAN.unpack_from(self._map, _PLAN_AT)
            (length,) = _LENGTH.unpack_from(self._map, _PATH_AT)
        except (OSError, ValueError, struct.error) as error:
            raise SpoolError(f"{path}: not a slot: {error}") from None
        if magic != MAGIC or _PATH_AT + 2 + length > SIZE:
            raise SpoolError(f"{path}: not a slot")
        self.path = path
        self.thread: int | None = thread if thread not in (0, _LET_GO) else None
        self._path_length = length
        journal = self._map[_PATH_AT + 2 : _PATH_AT + 2 + length]
        self.journal = os.fsdecode(journal)
        # damage must be seen here, where it costs one worker its samples, and not where it ends the agent
        plain = journal.startswith(b"/") and b"\0" not in journal and self.journal.endswith(JOURNAL_SUFFIX)
        intervals = (self.interval_s, *(interval for interval in self.telemetry if interval != OFF))
        sane = all(0.001 <= interval <= 3600 for interval in intervals)
        if not plain or not sane or not 0 < self.pid <= _MAX_PID or self.start >= 1 << 63:
            raise SpoolError(f"{path}: a damaged slot")
        # what is looked at at every tick: whole words and halves of them, without a copy
        self._words, self._pieces = memoryview(self._map).cast("Q"), memoryview(self._map).cast("I")

    def is_let_go(self) -> bool:
        """Return whether who made it needs no agent any more."""
        return self._pieces[_THREAD_AT >> 2] == _LET_GO

    def sequence(self) -> int:
        """Return the sequence alone: the cheap question whether anything changed."""
        return self._words[_TASK_AT >> 3]

    def read(self) -> SlotTask | None:
        """Return a consistent reading; None if the writer was met each time."""
        for _ in range(_READS):
            first = _TASK.unpack_from(self._map, _TASK_AT)
            whole = first[0] - first[6] == 1 - (first[0] & 1) or first[0] == first[6] == 0
            if whole and first == _TASK.unpack_from(self._map, _TASK_AT):
                sequence, start_ns, mono_ns, cpu_ns, task, attempt, _ = first
                return SlotTask(sequence, start_ns, mono_ns, cpu_ns, task if sequence else b"", attempt)
        return None

    def note(self, task: SlotTask) -> bytes | None:
        """Return the ``start`` line of a running task that is in no journal yet; None if it is there."""
        sequence, number, length, function_id = _START.unpack_from(self._map, _NOTE_TEXT_AT)
        if sequence == task.sequence and length <= NOTE_LIMIT:
            more = self._map[_START_TEXT_AT : _START_TEXT_AT + length]
            if sequence != _START.unpack_from(self._map, _NOTE_TEXT_AT)[0]:
                return None
            line = start_line(
                task.task, task.attempt, task.start_ns, function_id, number, more.decode("ascii", "replace")
            )
            return f"{line}}}\n".encode()
        noted, length = _NOTE.unpack_from(self._map, _NOTE_AT)
        if noted != task.sequence or length > _PLAN_AT - _NOTE_TEXT_AT:
            return None
        note = self._map[_NOTE_TEXT_AT : _NOTE_TEXT_AT + length]
        return note if noted == _NOTE.unpack_from(self._map, _NOTE_AT)[0] else None

    def list_descendants(self, listed: Sequence[tuple[int, int]]) -> None:
        """Tell the worker of its descendants: ids, and ns of CPU time of children that each has waited for."""
        if self._path_length > _PATH_LIMIT:
            return  # a slot of an earlier release, whose path is there
        entries = listed[:MAX_DESCENDANTS]
        _COUNT.pack_into(self._map, _LISTED_COUNT_AT, 0)
        for number, entry in enumerate(entries):
            _LISTED.pack_into(self._map, _LISTED_AT + number * _LISTED.size, *entry)
        _COUNT.pack_into(self._map, _LISTED_COUNT_AT, len(entries))

    def begun_descendants(self, sequence: int) -> dict[int, tuple[int, bool]]:
        """Return what the worker saw of its descendants at a task's begin, by id: CPU time (ns), and if it ran."""
        if self._path_length > _PATH_LIMIT:
            return {}
        noted, count = _LOOKED.unpack_from(self._map, _LOOKED_AT)
        if noted != sequence or count > MAX_DESCENDANTS:
            return {}
        entries = list(_BEGUN.iter_unpack(self._map[_BEGUN_AT : _BEGUN_AT + count * _BEGUN.size]))
        if noted != _LOOKED.unpack_from(self._map, _LOOKED_AT)[0]:
            return {}
        return {pid: (cpu_ns, bool(ran)) for pid, cpu_ns, ran in entries}

    def limit_ns(self, sequence: int) -> int:
        """Return how long a task may take, ns; 0 if it has no limit."""
        limited, limit_ns = _LIMIT.unpack_from(self._map, _LIMIT_AT)
        return int(limit_ns) if limited == sequence else 0

    def acknowledge(self, sequence: int) -> None:
        """Tell the worker that the crate of this task is on disk, and so are those of the tasks before it."""
        if sequence > _ACK.unpack_from(self._map, _ACK_AT)[0]:
            _ACK.pack_into(self._map, _ACK_AT, sequence)

    def close(self) -> None:
        """Unmap the page; keep the file."""
        self._words.release()
        self._pieces.release()
        self._map.close()
