"""The reading side of a worker's slot; its layout is that of :mod:`prov_worker.spool.slot`."""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Sequence
from typing import NamedTuple

from prov_worker.attempt import AttemptId
from prov_worker.errors import SpoolError
from prov_worker.spool.own_files import open_own
from prov_worker.spool.paths import JOURNAL_SUFFIX
from prov_worker.spool.ring_records import start_line
from prov_worker.spool.slot import (
    ACK,
    ACK_AT,
    BEGUN,
    BEGUN_AT,
    DESCENDANT,
    HEAD,
    LENGTH,
    LET_GO,
    LIMIT,
    LIMIT_AT,
    LISTED_AT,
    LISTED_COUNT_AT,
    LOOKED,
    LOOKED_AT,
    MAGIC,
    MAX_DESCENDANTS,
    NOTE,
    NOTE_AT,
    NOTE_LIMIT,
    NOTE_TEXT_AT,
    OFF,
    PATH_AT,
    PATH_LIMIT,
    PLAN,
    PLAN_AT,
    SIZE,
    START,
    START_TEXT_AT,
    TASK,
    TASK_AT,
    THREAD_AT,
)

_COUNT = struct.Struct("<H")
_MAX_PID = 1 << 22
_READS = 4


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

    @property
    def attempt_id(self) -> AttemptId:
        """Which attempt it is."""
        text = self.task.hex()
        task_id = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
        return AttemptId(task_id, self.attempt, self.start_ns)


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
            magic, self.pid, thread, self.start, self.interval_s = HEAD.unpack_from(self._map, 0)
            self.telemetry: tuple[float, ...] = PLAN.unpack_from(self._map, PLAN_AT)
            (length,) = LENGTH.unpack_from(self._map, PATH_AT)
        except (OSError, ValueError, struct.error) as error:
            raise SpoolError(f"{path}: not a slot: {error}") from None
        if magic != MAGIC or PATH_AT + 2 + length > SIZE:
            raise SpoolError(f"{path}: not a slot")
        self.path = path
        self.thread: int | None = thread if thread not in (0, LET_GO) else None
        self._path_length = length
        journal = self._map[PATH_AT + 2 : PATH_AT + 2 + length]
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
        return self._pieces[THREAD_AT >> 2] == LET_GO

    def sequence(self) -> int:
        """Return the sequence alone: the cheap question whether anything changed."""
        return self._words[TASK_AT >> 3]

    def read(self) -> SlotTask | None:
        """Return a consistent reading; None if the writer was met each time."""
        for _ in range(_READS):
            first = TASK.unpack_from(self._map, TASK_AT)
            whole = first[0] - first[6] == 1 - (first[0] & 1) or first[0] == first[6] == 0
            if whole and first == TASK.unpack_from(self._map, TASK_AT):
                sequence, start_ns, mono_ns, cpu_ns, task, attempt, _ = first
                return SlotTask(sequence, start_ns, mono_ns, cpu_ns, task if sequence else b"", attempt)
        return None

    def note(self, task: SlotTask) -> bytes | None:
        """Return the ``start`` line of a running task that is in no journal yet; None if it is there."""
        sequence, number, length, function_id = START.unpack_from(self._map, NOTE_TEXT_AT)
        if sequence == task.sequence and length <= NOTE_LIMIT:
            more = self._map[START_TEXT_AT : START_TEXT_AT + length]
            if sequence != START.unpack_from(self._map, NOTE_TEXT_AT)[0]:
                return None
            line = start_line(
                task.task, task.attempt, task.start_ns, function_id, number, more.decode("ascii", "replace")
            )
            return f"{line}}}\n".encode()
        noted, length = NOTE.unpack_from(self._map, NOTE_AT)
        if noted != task.sequence or length > PLAN_AT - NOTE_TEXT_AT:
            return None
        note = self._map[NOTE_TEXT_AT : NOTE_TEXT_AT + length]
        return note if noted == NOTE.unpack_from(self._map, NOTE_AT)[0] else None

    def list_descendants(self, listed: Sequence[tuple[int, int]]) -> None:
        """Tell the worker of its descendants: ids, and ns of CPU time of children that each has waited for."""
        if self._path_length > PATH_LIMIT:
            return  # a slot of an earlier release, whose path is there
        entries = listed[:MAX_DESCENDANTS]
        _COUNT.pack_into(self._map, LISTED_COUNT_AT, 0)
        for number, entry in enumerate(entries):
            DESCENDANT.pack_into(self._map, LISTED_AT + number * DESCENDANT.size, *entry)
        _COUNT.pack_into(self._map, LISTED_COUNT_AT, len(entries))

    def begun_descendants(self, sequence: int) -> dict[int, tuple[int, bool]] | None:
        """Return what the worker saw of its descendants at a task's begin, by id: CPU time (ns), and if it ran.

        Empty if it looked and none was left; None if it did not look.
        """
        if self._path_length > PATH_LIMIT:
            return None
        noted, count = LOOKED.unpack_from(self._map, LOOKED_AT)
        if noted != sequence or count > MAX_DESCENDANTS:
            return None
        entries = list(BEGUN.iter_unpack(self._map[BEGUN_AT : BEGUN_AT + count * BEGUN.size]))
        if noted != LOOKED.unpack_from(self._map, LOOKED_AT)[0]:
            return None
        return {pid: (cpu_ns, bool(ran)) for pid, cpu_ns, ran in entries}

    def limit_ns(self, sequence: int) -> int:
        """Return how long a task may take, ns; 0 if it has no limit."""
        limited, limit_ns = LIMIT.unpack_from(self._map, LIMIT_AT)
        return int(limit_ns) if limited == sequence else 0

    def acknowledge(self, sequence: int) -> None:
        """Tell the worker that the crate of this task is on disk, and so are those of the tasks before it."""
        if sequence > ACK.unpack_from(self._map, ACK_AT)[0]:
            ACK.pack_into(self._map, ACK_AT, sequence)

    def close(self) -> None:
        """Unmap the page; keep the file."""
        self._words.release()
        self._pieces.release()
        self._map.close()
