"""From a ring to the journal: done by the node's agent, by ``recover``, or by a worker that no agent serves.

Whoever drains a ring holds its file (flock(2)), so that there is never more than one. Lines go into the journal first;
then the ring gets how far that was. Who dies between the two leaves lines that come a second time: a reader knows
them by their number (:class:`prov_worker.spool.records.JournalState`).
"""

from __future__ import annotations

import contextlib
import fcntl
import struct

from prov_worker.errors import SpoolError
from prov_worker.spool.journal import JournalWriter
from prov_worker.spool.own_files import open_own
from prov_worker.spool.ring_reader import RingReader
from prov_worker.spool.ring_records import ENDS, FIRST, KEPT, START, line_of

_BATCH = 64 << 10
#: How much of a journal is looked through for the lines that later ones depend on.
_MOST_READ = 64 << 20
_KEPT_LINES = tuple(f'{{"t":{space}"{kind}"'.encode() for kind in ("worker", "function") for space in ("", " "))


def open_held(path: str) -> RingReader | None:
    """Open a ring and hold it; None if somebody else does.

    Raises:
        SpoolError, OSError: as of :class:`~prov_worker.spool.ring_reader.RingReader`.
    """
    reader = RingReader(path)
    try:
        fcntl.flock(reader.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        reader.close()
        return None
    return reader


def drain(ring: RingReader, writer: JournalWriter) -> int:
    """Move what is in a ring into its journal; gives the number of records.

    Raises:
        OSError: neither the journal nor its fallback takes them; they stay in the ring.
        SpoolError: the ring is damaged.
    """
    moved = 0
    while records := ring.read(_BATCH):
        lines, kept, begun = [], [], writer.begun
        for number, body in records:
            kind = body[0]
            try:
                line = line_of(body, number)
            except (struct.error, UnicodeDecodeError) as error:
                raise SpoolError(f"{ring.path}: record {number} is damaged: {error}") from None
            lines.append(line)
            if kind in (FIRST, KEPT):
                kept.append((line, kind == FIRST))
            elif kind in (START, *ENDS):
                begun = line if kind == START else b""
        data = b"".join(lines)
        if data:
            writer.write(data)
        for line, first in kept:
            writer.keep(line, first)
        writer.begun = begun
        ring.drained(records[-1][0])
        moved += len(records)
    return moved


def keep_what_is_there(writer: JournalWriter) -> None:
    """Have a writer remember the lines that later ones depend on, of a journal that somebody else began."""
    for path in (writer.path, writer.fallback):
        with contextlib.suppress(OSError), open(open_own(path), "rb") as file:
            for line in file.read(_MOST_READ).splitlines(keepends=True):
                if line.startswith(_KEPT_LINES) and line.endswith(b"\n"):
                    writer.keep(line, first=b'"worker"' in line[:14])
