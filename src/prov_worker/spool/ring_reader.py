"""The reading side of rings: what was not drained yet, and which rings there are."""

from __future__ import annotations

import contextlib
import mmap
import os
from zlib import crc32

from prov_worker.errors import SpoolError
from prov_worker.spool.own_files import open_own
from prov_worker.spool.paths import JOURNAL_SUFFIX
from prov_worker.spool.ring_format import (
    AREA,
    CLOSED,
    CONTROL,
    DRAINED,
    FILES,
    FIRST,
    HEAD,
    HEAD_SIZE,
    IDENTITY,
    LENGTH,
    MAGIC,
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

#: Where the two areas of the ring's own file begin.
_BASE = (CONTROL, CONTROL + AREA)


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
        SpoolError: the file is not a ring, or damaged.
        OSError: it cannot be read.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.fd = open_own(path, os.O_RDWR)
        try:
            if os.fstat(self.fd).st_size != SIZE:
                raise SpoolError(f"{path}: not a ring")
            self._control = mmap.mmap(self.fd, SIZE)
            magic, self.pid, _, self.start, first, drained = IDENTITY.unpack_from(self._control, 0)
            (length,) = LENGTH.unpack_from(self._control, PATH_AT)
            journal = self._control[PATH_AT + LENGTH.size :][:length]
            plain = journal.startswith(b"/") and b"\0" not in journal and length <= PATH_LIMIT
            if magic != MAGIC or not plain or not first <= drained < 1 << 63:
                raise SpoolError(f"{path}: a damaged ring")
        except BaseException:
            os.close(self.fd)
            raise
        self.journal = os.fsdecode(journal)
        self._words = memoryview(self._control).cast("Q")
        self._directory, name = os.path.split(path)
        self._stem = name.removesuffix(SUFFIX)
        self._base = [Area(self._control, begin, AREA) for begin in _BASE]
        self._more: dict[int, tuple[str, Area]] = {}
        self._listed = -1
        self._next = drained
        self._area: Area | None = None
        self._at = 0

    @property
    def is_fresh(self) -> bool:
        """Whether nothing of it has been drained yet."""
        return bool(self._words[FIRST] == self._words[DRAINED])

    @property
    def is_closed(self) -> bool:
        """Whether its writer has said that nothing more will come."""
        return bool(self._words[CLOSED])

    @property
    def unrecorded(self) -> int:
        """Tasks that left no record."""
        return int(self._words[UNRECORDED])

    def has_next(self) -> bool:
        """Return whether there seems to be something to read: the cheap question, without a system call."""
        area, control, number = self._area, self._words, self._next
        if area is None or number != control[DRAINED]:
            return True
        if self._at + HEAD_SIZE <= area.end and area.words[self._at >> 3] == number:
            return True
        if control[FILES] > self._listed:
            return True
        begins = self._more or control[_BASE[0] >> 3] == number or control[_BASE[1] >> 3] == number
        return bool(begins) and self._following() is not None

    def read(self, limit: int) -> list[tuple[int, bytes]]:
        """Return records that are not drained yet, with their numbers, until they are more than ``limit`` bytes.

        The same records come again unless :meth:`drained` was called.

        Raises:
            SpoolError: a record is there and damaged.
        """
        self._find(int(self._words[DRAINED]))
        records: list[tuple[int, bytes]] = []
        size = 0
        while size < limit:
            body = self._record()
            if body is None:
                following = self._following()
                if following is None:
                    break
                self._area, self._at = following, following.begin + WORD
                continue
            records.append((self._next - 1, body))
            size += len(body)
        return records

    def drained(self, number: int) -> None:
        """Say that the records up to this one are in the journal, and remove the files that only had those."""
        self._words[DRAINED] = number + 1
        if self._more:
            firsts = [int(area.words[area.begin >> 3]) for area in self._areas()]
            self._remove_before(max((first for first in firsts if first <= number + 1), default=0))

    def _record(self) -> bytes | None:
        """Return body of the next record, behind which it goes on then; None if it is not here."""
        area, at = self._area, self._at
        if area is None or at + HEAD_SIZE > area.end or area.words[at >> 3] != self._next:
            return None
        length, checksum = HEAD.unpack_from(area.map, at + WORD)
        body = area.map[at + HEAD_SIZE : at + HEAD_SIZE + length] if at + HEAD_SIZE + length <= area.end else b""
        if not body or crc32(body) != checksum:
            raise SpoolError(f"{self.path}: record {self._next} is damaged")
        self._at = at + (HEAD_SIZE + length + 7 & ~7)
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
        self._area, self._at = area, area.begin + WORD
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

    def _areas(self) -> list[Area]:
        return [*self._base, *(area for _, area in self._more.values())]

    def _following(self) -> Area | None:
        """Return the area that begins with the next record."""
        if self._words[FILES] > self._listed:
            self._list()
        for area in self._areas():
            if area.words[area.begin >> 3] == self._next and (area is not self._area or self._at > area.begin + WORD):
                return area
        return None

    def _list(self) -> None:
        """Map the files that were made since."""
        made = int(self._words[FILES])
        for name in os.listdir(self._directory):
            match = match_name(name)
            if match is None or match["ring"] != self._stem or match["number"] is None:
                continue
            number, size = int(match["number"]), int(match["kib"]) << 10
            if number in self._more or number > made:
                continue
            path = os.path.join(self._directory, name)
            descriptor = open_own(path, os.O_RDWR)
            try:
                if os.fstat(descriptor).st_size == size:
                    self._more[number] = path, Area(mmap.mmap(descriptor, size), 0, size)
            finally:
                os.close(descriptor)
        self._listed = made

    def remove(self) -> None:
        """Remove its files, and close it."""
        for name in os.listdir(self._directory):
            match = match_name(name)
            if match is not None and match["ring"] == self._stem:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(self._directory, name))
        self.close()

    def close(self) -> None:
        """Close the files."""
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
    return [os.path.join(directory, name) for name in names if name.endswith(SUFFIX)]
