"""The ring: where a worker puts its records, in node-local memory, until the node's agent has them in the journal.

One per worker thread, in ``<runtime>/rings``. It is written without locks and without system calls, read by whoever
drains it (:mod:`prov_worker.spool.drain`), and outlives the worker. Its name is that of the journal with the sequence
number of its first record. Numbers start at the node's monotonic clock (ns), so that they grow from ring to ring, too.

A record is published by storing its sequence number last, in one aligned word; a reader takes it only if the number is
the one that it waits for and the checksum is right. Where it is at odds, the writer has been met: it is read again
later. Records are in *areas*: two in the ring's file, used in turn, and, if the reader is late, more in files of their
own, up to a limit. An area begins with the number of its first record, by which the reader finds where to go on; it is
used again, or its file removed, once all its records are drained. All memory is allocated before it is mapped.

Native byte order, words of 8 bytes:

======  =====  ==================================================================
offset  type   content of the file ``<journal>.<first>.ring``
======  =====  ==================================================================
0       8s     ``PRVRNG01``
8       I      process id
12      I      native thread id, 0 if the task has the whole process
16      Q      start of the process, clock ticks since boot
24      Q      number of the first record
32      Q      written by who drains it: number of the first record that is not in the journal yet
40      Q      tasks that left no record, as there was no more room
48      Q      1 once the writer goes on elsewhere
56      Q      number of files ``<journal>.<first>.<number>.<KiB>.more`` that were made
64      H      length of the journal's path, which follows
4096           first area
67584          second area
======  =====  ==================================================================

A record is its number (Q), the length (I) and crc32 (I) of its body, and the body; it begins on a word.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import re
import struct
import time
import weakref
from zlib import crc32

from prov_worker.errors import SpoolError
from prov_worker.interruptions import is_own
from prov_worker.spool.own_files import allocate, make_private, open_own
from prov_worker.spool.paths import JOURNAL_SUFFIX

#: Directory of rings in a runtime directory.
RINGS = "rings"
#: Most bytes of a runtime directory's rings, if settings say nothing else.
DEFAULT_LIMIT = 64 << 20
_SUFFIX, _MORE = ".ring", ".more"
_MAGIC = b"PRVRNG01"
_CONTROL = 4096
_AREA = 62 << 10
_SIZE = _CONTROL + 2 * _AREA
_MORE_KIB = 128
_IDENTITY = struct.Struct("=8sIIQQQ")
_LENGTH = struct.Struct("=H")
_PATH_AT = 64
_PATH_LIMIT = _CONTROL - _PATH_AT - _LENGTH.size
_FIRST, _DRAINED, _UNRECORDED, _CLOSED, _FILES = 3, 4, 5, 6, 7  # words of the control page
_HEAD = struct.Struct("=II")
_HEAD_SIZE = 16
_WORD = 8
_NAME = re.compile(r"(?P<ring>(?P<stem>.+)\.[0-9a-f]{16})(?:\.ring|\.(?P<number>\d+)\.(?P<kib>\d+)\.more)")


class _Area:
    """Room for records: ``at`` is where the next one goes, ``last`` the number of the last one."""

    __slots__ = ("at", "begin", "end", "last", "map", "words")

    def __init__(self, memory: mmap.mmap, begin: int, size: int) -> None:
        self.map = memory
        self.words = memoryview(memory).cast("Q")
        self.begin, self.end = begin, begin + size
        self.at = begin + _WORD
        self.last = 0

    def close(self) -> None:
        self.words.release()
        with contextlib.suppress(BufferError):
            self.map.close()


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
        OSError: it cannot be made, or there is no room for it.
        ValueError: the journal's path is too long.
    """

    def __init__(self, runtime: str, journal: str, pid: int, thread: int, start: int, limit: int) -> None:
        encoded = os.fsencode(journal)
        if len(encoded) > _PATH_LIMIT:
            raise ValueError("path of the journal is too long for a ring")
        self._directory = os.path.join(runtime, RINGS)
        make_private(self._directory)
        self._limit = limit
        self._next = first = time.monotonic_ns()
        self._name = f"{os.path.basename(journal).removesuffix(JOURNAL_SUFFIX)}.{first:016x}"
        self.path = os.path.join(self._directory, self._name + _SUFFIX)
        beside = self.path + ".new"
        memory, self._inode = _map_new(beside, _SIZE)
        _IDENTITY.pack_into(memory, 0, _MAGIC, pid, thread, start, first, first)
        _LENGTH.pack_into(memory, _PATH_AT, len(encoded))
        memory[_PATH_AT + _LENGTH.size : _PATH_AT + _LENGTH.size + len(encoded)] = encoded
        self._base = [_Area(memory, _CONTROL + number * _AREA, _AREA) for number in range(2)]
        self._area = self._base[0]
        self._words = self._area.words
        self._words[self._area.begin >> 3] = first
        os.rename(beside, self.path)
        self._files = 0
        _rings.add(self)

    def append(self, body: bytes, *, brief: bool = False) -> bool:
        """Publish a record.

        Args:
            body: its content.
            brief: go beyond the limit by a quarter.

        Returns:
            Whether there was room for it.
        """
        length = len(body)
        size = _HEAD_SIZE + length + 7 & ~7
        area = self._area
        at = area.at
        if at + size > area.end:
            room = self._make_room(size, brief)
            if room is None:
                return False
            area, at = room, room.at
        number = self._next
        # Taken first and filled then: a signal's handler may come here, too, and leave by an exception.
        self._next, area.at = number + 1, at + size
        try:
            area.map[at + 8 : at + 16 + length] = _HEAD.pack(length, crc32(body)) + body
        except BaseException:
            body = bytes(length)  # it means nothing, but those that follow are found behind it
            area.map[at + 8 : at + 16 + length] = _HEAD.pack(length, crc32(body)) + body
            raise
        finally:
            area.words[at >> 3] = number
        return True

    def count_unrecorded(self) -> None:
        """A task has ended for which there is no room."""
        self._words[_UNRECORDED] += 1

    def undrained(self) -> list[bytes]:
        """Bodies of the records that are in memory here and not in the journal."""
        bodies = []
        areas = {self._area, *self._base}
        for area in sorted(areas, key=lambda area: int(area.words[area.begin >> 3])):
            number, at = int(area.words[area.begin >> 3]), area.begin + _WORD
            while number and at + _HEAD_SIZE <= area.end and area.words[at >> 3] == number:
                length, _ = _HEAD.unpack_from(area.map, at + _WORD)
                if number >= self._words[_DRAINED]:
                    bodies.append(area.map[at + _HEAD_SIZE : at + _HEAD_SIZE + length])
                number, at = number + 1, at + (_HEAD_SIZE + length + 7 & ~7)
        return bodies

    def is_there(self) -> bool:
        """Whether its file still is what its path leads to; a log-out or the end of a job may have removed it.

        What cannot be looked at, as by a task that has become another user, is taken to be there: it is mapped.
        """
        try:
            status = os.stat(self.path, follow_symlinks=False)
        except FileNotFoundError:
            return False
        except OSError as error:
            if not is_own(error):
                raise
            return True
        return (status.st_dev, status.st_ino) == self._inode

    def close(self) -> None:
        """Say that nothing more will be written, and let the memory go. Whoever drains the ring removes it."""
        self._words[_CLOSED] = 1
        self.abandon()

    def abandon(self) -> None:
        """Let the memory go; from now on there is no room for any record."""
        _rings.discard(self)
        area, self._area = self._area, _Area(mmap.mmap(-1, _WORD), 0, 0)
        self._limit = 0
        self._words = memoryview(bytearray(_CONTROL)).cast("Q")
        for each in {area, *self._base}:
            each.words.release()
        for memory in {area.map, self._base[0].map}:
            with contextlib.suppress(BufferError):
                memory.close()
        self._base = []

    def _make_room(self, size: int, brief: bool) -> _Area | None:
        """Go on in another area: one that is drained, or a new one."""
        before = self._area
        before.last = self._next - 1
        area = next((area for area in self._base if area is not before and area.last < self._words[_DRAINED]), None)
        if area is not None and area.begin + _WORD + size <= area.end:
            area.at = area.begin + _WORD
        else:
            area = self._more(size, brief)
            if area is None:
                return None
        area.words[area.begin >> 3] = self._next
        self._area = area
        if area not in self._base:
            self._words[_FILES] = self._files
        if before not in self._base:
            before.close()
        return area

    def _more(self, size: int, brief: bool) -> _Area | None:
        kib = max(_MORE_KIB, (size + _WORD + 4095) // 4096 * 4)
        limit = self._limit + (self._limit >> 2 if brief else 0)
        try:
            if _bytes_of(self._directory) + (kib << 10) > limit:
                return None
            self._files += 1
            path = os.path.join(self._directory, f"{self._name}.{self._files}.{kib}{_MORE}")
            return _Area(_map_new(path, kib << 10)[0], 0, kib << 10)
        except OSError as error:
            if not is_own(error):
                raise
            return None


_rings: weakref.WeakSet[Ring] = weakref.WeakSet()


def _leave_to_parent() -> None:
    for ring in list(_rings):
        ring.abandon()


os.register_at_fork(after_in_child=_leave_to_parent)


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
    """Bytes of all rings in a directory, by their names alone."""
    total = 0
    for name in os.listdir(directory):
        match = _NAME.fullmatch(name)
        if match is not None:
            total += _SIZE if match["kib"] is None else int(match["kib"]) << 10
    return total


class RingReader:
    """The reading side. Nothing that stands in the files can do worse than end in a :class:`SpoolError`.

    Args:
        path: of the ring's file.

    Attributes:
        journal: path of the journal.
        pid: id of the writer's process.
        start: its start.
        fd: descriptor of the file, for a lock.

    Raises:
        SpoolError: the file is no ring, or damaged.
        OSError: it cannot be read.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.fd = open_own(path, os.O_RDWR)
        try:
            if os.fstat(self.fd).st_size != _SIZE:
                raise SpoolError(f"{path}: not a ring")
            self._control = mmap.mmap(self.fd, _SIZE)
            magic, self.pid, _, self.start, first, drained = _IDENTITY.unpack_from(self._control, 0)
            (length,) = _LENGTH.unpack_from(self._control, _PATH_AT)
            journal = self._control[_PATH_AT + _LENGTH.size :][:length]
            plain = journal.startswith(b"/") and b"\0" not in journal and length <= _PATH_LIMIT
            if magic != _MAGIC or not plain or not first <= drained < 1 << 63:
                raise SpoolError(f"{path}: a damaged ring")
        except BaseException:
            os.close(self.fd)
            raise
        self.journal = os.fsdecode(journal)
        self._words = memoryview(self._control).cast("Q")
        self._directory, name = os.path.split(path)
        self._stem = name.removesuffix(_SUFFIX)
        self._base = [_Area(self._control, _CONTROL + number * _AREA, _AREA) for number in range(2)]
        self._more: dict[int, tuple[str, _Area]] = {}
        self._listed = -1
        self._next = drained
        self._area: _Area | None = None
        self._at = 0

    @property
    def is_fresh(self) -> bool:
        """Whether nothing of it has been drained yet."""
        return bool(self._words[_FIRST] == self._words[_DRAINED])

    @property
    def is_closed(self) -> bool:
        """Whether its writer has said that nothing more will come."""
        return bool(self._words[_CLOSED])

    @property
    def unrecorded(self) -> int:
        """Tasks that left no record."""
        return int(self._words[_UNRECORDED])

    def has_next(self) -> bool:
        """Whether there seems to be something to read: the cheap question, without a system call."""
        area = self._area
        if area is None or self._next != self._words[_DRAINED]:
            return True
        if self._at + _HEAD_SIZE <= area.end and area.words[self._at >> 3] == self._next:
            return True
        return self._words[_FILES] > self._listed or self._following() is not None

    def read(self, limit: int) -> list[tuple[int, bytes]]:
        """Return records that are not drained yet, with their numbers, until they are more than ``limit`` bytes.

        The same records come again unless :meth:`drained` was called.

        Raises:
            SpoolError: a record is there and damaged.
        """
        self._find(int(self._words[_DRAINED]))
        records: list[tuple[int, bytes]] = []
        size = 0
        while size < limit:
            body = self._record()
            if body is None:
                following = self._following()
                if following is None:
                    break
                self._area, self._at = following, following.begin + _WORD
                continue
            records.append((self._next - 1, body))
            size += len(body)
        return records

    def drained(self, number: int) -> None:
        """Say that the records up to this one are in the journal, and remove the files that only had those."""
        self._words[_DRAINED] = number + 1
        if self._more:
            firsts = [int(area.words[area.begin >> 3]) for area in self._areas()]
            self._remove_before(max((first for first in firsts if first <= number + 1), default=0))

    def _record(self) -> bytes | None:
        """Body of the next record, behind which it goes on then; None if it is not here."""
        area, at = self._area, self._at
        if area is None or at + _HEAD_SIZE > area.end or area.words[at >> 3] != self._next:
            return None
        length, checksum = _HEAD.unpack_from(area.map, at + _WORD)
        body = area.map[at + _HEAD_SIZE : at + _HEAD_SIZE + length] if at + _HEAD_SIZE + length <= area.end else b""
        if not body or crc32(body) != checksum:
            raise SpoolError(f"{self.path}: record {self._next} is damaged")
        self._at = at + (_HEAD_SIZE + length + 7 & ~7)
        self._next += 1
        return body

    def _find(self, number: int) -> None:
        """Go to where a record is, or will be."""
        if self._area is not None and self._next == number:
            return
        self._next = number
        self._list()
        areas = [area for area in self._areas() if 0 < area.words[area.begin >> 3] <= number]
        area = max(areas, key=lambda area: int(area.words[area.begin >> 3]), default=None)
        if area is None:
            raise SpoolError(f"{self.path}: record {number} is nowhere")
        self._area, self._at = area, area.begin + _WORD
        self._next = int(area.words[area.begin >> 3])
        while self._next < number:
            if self._record() is None:
                raise SpoolError(f"{self.path}: record {self._next} is missing")
        self._remove_before(int(area.words[area.begin >> 3]))

    def _remove_before(self, first: int) -> None:
        """Remove the files of areas that begin before the record with which the first area that is needed begins."""
        for key, (path, area) in list(self._more.items()):
            if 0 < area.words[0] < first and area is not self._area:
                del self._more[key]
                area.close()
                with contextlib.suppress(OSError):
                    os.unlink(path)

    def _areas(self) -> list[_Area]:
        return [*self._base, *(area for _, area in self._more.values())]

    def _following(self) -> _Area | None:
        """The area that begins with the next record."""
        if self._words[_FILES] > self._listed:
            self._list()
        for area in self._areas():
            if area.words[area.begin >> 3] == self._next and (area is not self._area or self._at > area.begin + _WORD):
                return area
        return None

    def _list(self) -> None:
        """Map the files that were made since."""
        made = int(self._words[_FILES])
        for name in os.listdir(self._directory):
            match = _NAME.fullmatch(name)
            if match is None or match["ring"] != self._stem or match["number"] is None:
                continue
            number, size = int(match["number"]), int(match["kib"]) << 10
            if number in self._more or number > made:
                continue
            path = os.path.join(self._directory, name)
            descriptor = open_own(path, os.O_RDWR)
            try:
                if os.fstat(descriptor).st_size == size:
                    self._more[number] = path, _Area(mmap.mmap(descriptor, size), 0, size)
            finally:
                os.close(descriptor)
        self._listed = made

    def remove(self) -> None:
        """Remove its files, and close it."""
        for name in os.listdir(self._directory):
            match = _NAME.fullmatch(name)
            if match is not None and match["ring"] == self._stem:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(self._directory, name))
        self.close()

    def close(self) -> None:
        """Let the files go."""
        if self.fd < 0:
            return
        os.close(self.fd)
        self.fd = -1
        for _, area in self._more.values():
            area.close()
        self._more.clear()
        self._area = None
        self._words.release()
        for area in self._base:
            area.close()


def journal_name_of(path: str) -> str:
    """Return the name of the journal that the records of a ring are for, by the ring's own name."""
    return os.path.basename(path).rsplit(".", 2)[0] + JOURNAL_SUFFIX


def rings_of(runtime: str) -> list[str]:
    """Return the paths of the rings in a runtime directory, those of one journal in the order of their making.

    Raises:
        OSError: the directory is there and cannot be listed.
    """
    directory = os.path.join(runtime, RINGS)
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
    return [os.path.join(directory, name) for name in names if name.endswith(_SUFFIX)]
