"""What the files of a ring look like.

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
40      Q      tasks that left no record, as there was no more space
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
import re
import struct

#: Directory of rings in a runtime directory.
RINGS = "rings"
#: Most bytes of a runtime directory's rings, if settings say nothing else.
DEFAULT_LIMIT = 64 << 20
SUFFIX, MORE = ".ring", ".more"
MAGIC = b"PRVRNG01"
CONTROL = 4096
AREA = 62 << 10
SIZE = CONTROL + 2 * AREA
IDENTITY = struct.Struct("=8sIIQQQ")
LENGTH = struct.Struct("=H")
PATH_AT = 64
PATH_LIMIT = CONTROL - PATH_AT - LENGTH.size
FIRST, DRAINED, UNRECORDED, CLOSED, FILES = 3, 4, 5, 6, 7  # words of the control page
HEAD = struct.Struct("=II")
HEAD_SIZE = 16
#: Bytes at the end of an area for the end of a task (``BRIEF`` of :mod:`prov_worker.spool.ring_records`), no more.
ENDING = 96
WORD = 8
_NAME = r"(?P<ring>(?P<stem>.+)\.[0-9a-f]{16})(?:\.ring|\.(?P<number>\d+)\.(?P<kib>\d+)\.more)"


def match_name(name: str) -> re.Match[str] | None:
    """Return the parts of the name of a ring's file: ``ring``, ``stem``, and of further space ``number`` and ``kib``.

    The pattern is compiled at the first use, since few workers have one.
    """
    return re.fullmatch(_NAME, name)


class Area:
    """Space for records: ``at`` is where the next one goes, ``last`` the number of the last one."""

    __slots__ = ("at", "begin", "end", "last", "map", "words")

    def __init__(self, memory: mmap.mmap, begin: int, size: int) -> None:
        self.map = memory
        self.words = memoryview(memory).cast("Q")
        self.begin, self.end = begin, begin + size
        self.at = begin + WORD
        self.last = 0

    def close(self) -> None:
        """Let the memory go."""
        self.words.release()
        with contextlib.suppress(BufferError):
            self.map.close()
