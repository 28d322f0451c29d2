"""Event logs: what happens to tasks, as CloudEvents, one JSON object per line, for whoever streams them on.

``<spool>/events/<place>-<sequence>.events`` has the events of one place from a sequence number on. Each process that
writes begins a file of its own, and another one once that is large or old; none is written to again. So the first line
that is not whole is the end of a file.

Sequence numbers grow within a place, across restarts too: they begin at the time in microseconds, or one after the last
that is on disk, whichever is more. They are whole numbers that every JSON reader can hold.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md and, for ``sequence``,
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/extensions/sequence.md
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from prov_worker.spool import places
from prov_worker.spool.own_files import open_in_private, open_own

EVENTS = "events"
SUFFIX = ".events"
#: What the ``data`` of an event has: ``docs/schemas/event-1.json``.
SCHEMA = "https://w3id.org/ro/terms/distributed-step/event-1.json"
#: Digits of a sequence number: its text sorts as the number does until the year 2286.
_DIGITS = 16
_ROTATE_BYTES = 8 << 20
_ROTATE_S = 600.0
#: Most bytes of events that are held while their file cannot be written.
_MOST_HELD = 8 << 20
_TAIL_BYTES = 256 << 10
#: An empty file so young may be one whose writer has not locked it yet.
_YOUNG_S = 60.0
_NAME = re.compile(rf"(?P<place>[0-9a-z]{{{places.LENGTH}}})-(?P<sequence>\d{{{_DIGITS}}}){re.escape(SUFFIX)}\Z")


@dataclass(frozen=True, slots=True, order=True)
class LogName:
    """What the name of an event log says: its place, and the number of its first event."""

    place: str
    sequence: int

    def __str__(self) -> str:
        return f"{self.place}-{self.sequence:0{_DIGITS}d}{SUFFIX}"

    @classmethod
    def parse(cls, name: str) -> LogName | None:
        """Read a file name; None if it is not one of an event log."""
        match = _NAME.match(name)
        return cls(match["place"], int(match["sequence"])) if match else None


def event_dir(spool: str) -> str:
    """Return the directory of the event logs of a spool."""
    return os.path.join(spool, EVENTS)


def log_names(directory: str) -> list[LogName]:
    """Return the event logs in a directory, those of one place in their order; empty if there is no such directory.

    Raises:
        OSError: it cannot be listed.
    """
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    return sorted(name for name in map(LogName.parse, names) if name is not None)


def read_lines(path: str, offset: int, limit: int) -> tuple[list[bytes], int]:
    """Read whole lines of an event log.

    Args:
        path: of the log.
        offset: bytes that were read before.
        limit: most bytes to read at once; a line that is longer than that is read all the same.

    Returns:
        The lines, without their ends, and the offset behind them.

    Raises:
        OSError: it cannot be read. A log that is gone has no lines.
    """
    try:
        descriptor = open_own(path)
    except FileNotFoundError:
        return [], offset
    try:
        data = os.pread(descriptor, limit, offset)
        while b"\n" not in data and len(data) >= limit:
            limit *= 2
            data = os.pread(descriptor, limit, offset)
    finally:
        os.close(descriptor)
    whole = data[: data.rfind(b"\n") + 1]
    return whole.split(b"\n")[:-1], offset + len(whole)


def is_written(path: str, here: frozenset[str]) -> bool:
    """Return whether a log may still be written to: its writer holds it, or nobody can know and it is young.

    Args:
        path: of the log.
        here: as of :func:`prov_worker.spool.paths.places_here`.
    """
    name = LogName.parse(os.path.basename(path))
    try:
        status = os.stat(path, follow_symlinks=False)
        young_s = _YOUNG_S if name is not None and name.place in here else places.QUIET_S
        if abs(time.time() - status.st_mtime) < young_s and (young_s > _YOUNG_S or not status.st_size):
            return True
        descriptor = open_own(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in (errno.EWOULDBLOCK, errno.EACCES)
    finally:
        os.close(descriptor)
    return False


def remove_log(path: str, here: frozenset[str]) -> bool:
    """Remove a log, unless it may still be written to; return whether this call has removed it."""
    if is_written(path, here):
        return False
    try:
        os.unlink(path)
    except OSError:
        return False
    return True


def last_sequence(directory: str, place: str) -> int:
    """Return the number of the last event of a place that is on disk; 0 if there is none."""
    try:
        names = [name for name in log_names(directory) if name.place == place]
    except OSError:
        return 0
    if not names:
        return 0
    last = names[-1].sequence
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        path = os.path.join(directory, str(names[-1]))
        lines, _ = read_lines(path, max(0, os.stat(path).st_size - _TAIL_BYTES), _TAIL_BYTES)
        if lines:
            last = max(last, int(json.loads(lines[-1])["sequence"]))
    return last


class EventLog:
    """Writes the events of one place.

    Args:
        directory: of the event logs; made when the first event is written.
        place: as of :func:`prov_worker.spool.paths.place_of`.

    Attributes:
        lost: events that were given up, as they could not be written for long.
    """

    def __init__(self, directory: str, place: str) -> None:
        self._directory = directory
        self._place = place
        self._next = 0
        self._fd = -1
        self._path = ""
        self._size = 0
        self._opened = 0.0
        self._held: deque[tuple[bytes, bool]] = deque()
        self._held_bytes = 0
        self.lost = 0

    def add(self, kind: str, subject: str, data: Mapping[str, Any], *, droppable: bool = False) -> None:
        """Take an event; it is written by :meth:`flush`.

        Args:
            kind: its type, such as ``task.started``.
            subject: the task's id.
            data: what it says, plain JSON data.
            droppable: given up before others are.
        """
        if not self._next:
            self._next = max(time.time_ns() // 1000, last_sequence(self._directory, self._place) + 1)
        sequence, self._next = self._next, self._next + 1
        number = f"{sequence:0{_DIGITS}d}"
        event = {
            "specversion": "1.0",
            "id": f"{self._place}-{number}",
            "source": self._place,
            "type": kind,
            "subject": subject,
            "time": datetime.now(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "datacontenttype": "application/json",
            "dataschema": SCHEMA,
            "sequence": number,
            "data": data,
        }
        line = json.dumps(event, separators=(",", ":")).encode() + b"\n"
        self._held.append((line, droppable))
        self._held_bytes += len(line)
        if self._held_bytes > _MOST_HELD:
            self._give_up()

    def flush(self) -> None:
        """Write what was taken.

        Raises:
            OSError: it cannot be written now; it is held for the next time.
        """
        if not self._held:
            return
        now = time.monotonic()
        if self._fd >= 0 and (self._size > _ROTATE_BYTES or now - self._opened > _ROTATE_S or not self._is_there()):
            self.close()
        if self._fd < 0:
            self._open(now)
        data = b"".join(line for line, _ in self._held)
        try:
            written = os.write(self._fd, data)
        except OSError:
            self.close()
            raise
        self._size += written
        while self._held and written >= len(self._held[0][0]):
            size = len(self._held.popleft()[0])
            written -= size
            self._held_bytes -= size
        if self._held:
            self.close()  # what follows a torn line is in another file
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path)

    def close(self) -> None:
        """Close the file; what is held stays held."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    @property
    def is_holding(self) -> bool:
        """Whether something that was taken is not written."""
        return bool(self._held)

    def _is_there(self) -> bool:
        try:
            status, mine = os.stat(self._path, follow_symlinks=False), os.fstat(self._fd)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == (mine.st_dev, mine.st_ino)

    def _open(self, now: float) -> None:
        first = int(json.loads(self._held[0][0])["sequence"])
        while True:
            path = os.path.join(self._directory, str(LogName(self._place, first)))
            try:
                self._fd = open_in_private(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND)
                break
            except FileExistsError:
                first += 1  # torn when its disk was full, or another process began in this microsecond
        places.hold(self._fd)
        self._path, self._size, self._opened = path, 0, now

    def _give_up(self) -> None:
        """Make space: first of what may be dropped, then of what is oldest."""
        kept: deque[tuple[bytes, bool]] = deque()
        for line, droppable in self._held:
            if droppable:
                self._held_bytes -= len(line)
            else:
                kept.append((line, droppable))
        while kept and self._held_bytes > _MOST_HELD:
            self._held_bytes -= len(kept.popleft()[0])
            self.lost += 1
        self._held = kept
