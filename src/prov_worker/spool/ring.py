"""The ring: where a worker puts its records, in node-local memory, until the node's agent has them in the journal.

One per worker thread, in ``<runtime>/rings``. It is written without locks and without system calls, read by whoever
drains it (:mod:`prov_worker.spool.drain`), and outlives the worker. Its name is that of the journal with the sequence
number of its first record. Numbers start at the node's monotonic clock (ns), so that they grow from ring to ring, too.

A record is published by storing its sequence number last, in one aligned word; a reader takes it only if the number is
the one that it waits for and the checksum is right. If it is at odds, the writer has been met: it is read again
later. Records are in *areas*: two in the ring's file, used in turn, and, if the reader is late, more in files of their
own, up to a limit. An area begins with the number of its first record, by which the reader finds where to go on; it is
used again, or its file removed, once all its records are drained. All memory is allocated before it is mapped.

The layout of its files is that of :mod:`prov_worker.spool.ring_format`.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import time
import weakref
from zlib import crc32

from prov_worker.interruptions import is_own
from prov_worker.spool.own_files import allocate, leads_to, make_private, open_own
from prov_worker.spool.paths import JOURNAL_SUFFIX
from prov_worker.spool.ring_format import (
    AREA,
    CLOSED,
    CONTROL,
    DRAINED,
    ENDING,
    FILES,
    HEAD,
    HEAD_SIZE,
    IDENTITY,
    LENGTH,
    MAGIC,
    MORE,
    PATH_AT,
    PATH_LIMIT,
    RINGS,
    SIZE,
    SUFFIX,
    UNRECORDED,
    WORD,
    Area,
    match_name,
)

_MORE_KIB = 128


class Ring:
    """The writing side, owned by one thread. A forked child has none: there, nothing is written.

    Args:
        runtime: the runtime directory.
        journal: path of the journal that the records are for.
        pid: id of the process.
        thread: native thread id; 0 if tasks have the whole process.
        start: start of the process, clock ticks since boot.
        limit: most bytes of all rings of the runtime directory together.

    Attributes:
        path: of its file.

    Raises:
        OSError: it cannot be made, or there is no space for it.
        ValueError: the journal's path is too long.
    """

    __slots__ = (
        "__weakref__",
        "_area",
        "_base",
        "_directory",
        "_files",
        "_inode",
        "_limit",
        "_name",
        "_next",
        "_words",
        "path",
    )

    def __init__(self, runtime: str, journal: str, pid: int, thread: int, start: int, limit: int) -> None:
        encoded = os.fsencode(journal)
        if len(encoded) > PATH_LIMIT:
            raise ValueError("path of the journal is too long for a ring")
        self._directory = os.path.join(runtime, RINGS)
        make_private(self._directory)
        self._limit = limit
        self._next = first = time.monotonic_ns()
        self._name = f"{os.path.basename(journal).removesuffix(JOURNAL_SUFFIX)}.{first:016x}"
        self.path = os.path.join(self._directory, self._name + SUFFIX)
        beside = self.path + ".new"
        memory, self._inode = _map_new(beside, SIZE)
        IDENTITY.pack_into(memory, 0, MAGIC, pid, thread, start, first, first)
        LENGTH.pack_into(memory, PATH_AT, len(encoded))
        memory[PATH_AT + LENGTH.size : PATH_AT + LENGTH.size + len(encoded)] = encoded
        self._base = [_area(memory, CONTROL + number * AREA, AREA) for number in range(2)]
        self._area = self._base[0]
        self._words = self._area.words
        self._words[self._area.begin >> 3] = first
        os.rename(beside, self.path)
        self._files = 0
        _rings.add(self)

    def append(self, body: bytes, *, brief: bool = False, last: bool = False) -> bool:
        """Publish a record.

        Args:
            body: its content.
            brief: go beyond the limit by a quarter.
            last: use the space that is left for the end of a task, of which there may be a start already.

        Returns:
            Whether there was space for it.
        """
        length = len(body)
        size = HEAD_SIZE + length + 7 & ~7
        area = self._area
        at = area.at
        if at + size > area.end:
            space = self._make_room(size, brief, last)
            if space is None:
                return False
            area, at = space, space.at
        number = self._next
        # Taken first and filled then: a signal's handler may come here, too, and leave by an exception.
        self._next, area.at = number + 1, at + size
        try:
            area.map[at + 8 : at + 16 + length] = HEAD.pack(length, crc32(body)) + body
        except BaseException:
            body = bytes(length)  # it means nothing, but those that follow are found behind it
            area.map[at + 8 : at + 16 + length] = HEAD.pack(length, crc32(body)) + body
            raise
        finally:
            area.words[at >> 3] = number
        return True

    def count_unrecorded(self) -> None:
        """Count a task for which there was no space."""
        self._words[UNRECORDED] += 1

    def undrained(self) -> list[bytes]:
        """Return bodies of the records that are in memory here and not in the journal."""
        bodies = []
        areas = {self._area, *self._base}
        for area in sorted(areas, key=lambda area: int(area.words[area.begin >> 3])):
            number, at = int(area.words[area.begin >> 3]), area.begin + WORD
            while number and at + HEAD_SIZE <= area.end + ENDING and area.words[at >> 3] == number:
                length, _ = HEAD.unpack_from(area.map, at + WORD)
                if number >= self._words[DRAINED]:
                    bodies.append(area.map[at + HEAD_SIZE : at + HEAD_SIZE + length])
                number, at = number + 1, at + (HEAD_SIZE + length + 7 & ~7)
        return bodies

    def is_there(self) -> bool:
        """Return whether its path still leads to its file, which a log-out or the end of a job may remove."""
        return leads_to(self.path, self._inode)

    def close(self) -> None:
        """Say that nothing more will be written, and let the memory go. Whoever drains the ring removes it."""
        self._words[CLOSED] = 1
        self.abandon()

    def abandon(self) -> None:
        """Let the memory go; from now on there is no space for any record."""
        _rings.discard(self)
        area, self._area = self._area, Area(mmap.mmap(-1, WORD), 0, -ENDING)
        self._limit = 0
        self._words = memoryview(bytearray(CONTROL)).cast("Q")
        for each in {area, *self._base}:
            each.words.release()
        for memory in {area.map, self._base[0].map}:
            with contextlib.suppress(BufferError):
                memory.close()
        self._base = []

    def _make_room(self, size: int, brief: bool, last: bool) -> Area | None:
        """Go on in another area: one that is drained, or a new one."""
        before = self._area
        before.last = self._next - 1
        area = next((area for area in self._base if area is not before and area.last < self._words[DRAINED]), None)
        if area is not None and area.begin + WORD + size <= area.end:
            area.at = area.begin + WORD
        else:
            area = self._more(size, brief)
            if area is None:
                return before if last and before.at + size <= before.end + ENDING else None
        area.words[area.begin >> 3] = self._next
        self._area = area
        if area not in self._base:
            self._words[FILES] = self._files
        if before not in self._base:
            before.close()
        return area

    def _more(self, size: int, brief: bool) -> Area | None:
        kib = max(_MORE_KIB, (size + WORD + ENDING + 4095) // 4096 * 4)
        limit = self._limit + (self._limit >> 2 if brief else 0)
        try:
            if _bytes_of(self._directory) + (kib << 10) > limit:
                return None
            self._files += 1
            path = os.path.join(self._directory, f"{self._name}.{self._files}.{kib}{MORE}")
            return _area(_map_new(path, kib << 10)[0], 0, kib << 10)
        except OSError as error:
            if not is_own(error):
                raise
            return None


_rings: weakref.WeakSet[Ring] = weakref.WeakSet()


def _leave_to_parent() -> None:
    for ring in list(_rings):
        ring.abandon()


os.register_at_fork(after_in_child=_leave_to_parent)


def _area(memory: mmap.mmap, begin: int, size: int) -> Area:
    """Return space for records, of which the last bytes are for the end of a task that has begun."""
    return Area(memory, begin, size - ENDING)


def _map_new(path: str, size: int) -> tuple[mmap.mmap, tuple[int, int]]:
    """Make a file of this size, and map it with all its pages; also gives what tells it from others."""
    descriptor = open_own(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        allocate(descriptor, size)
        status = os.fstat(descriptor)
        # mapped with its pages: to meet them one by one would cost a task time, and move its peak of memory
        memory = mmap.mmap(descriptor, size, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
    except BaseException:
        os.unlink(path)
        raise
    finally:
        os.close(descriptor)
    return memory, (status.st_dev, status.st_ino)


def _bytes_of(directory: str) -> int:
    """Return bytes of all rings in a directory, by their names alone."""
    total = 0
    for name in os.listdir(directory):
        match = match_name(name)
        if match is not None:
            total += SIZE if match["kib"] is None else int(match["kib"]) << 10
    return total
