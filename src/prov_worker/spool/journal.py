"""The journal: one append-only file of JSON lines per worker, and the reader that follows it.

Its lines come out of the worker's ring (:mod:`prov_worker.spool.drain`), or from a worker that no agent serves.

Lines are objects whose ``t`` says what they are; :mod:`prov_worker.spool.records` lists the kinds, and gives them
meaning. A line that is torn, by a full disk or a dead worker, is skipped; the next write begins on a new line.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import signal
from collections.abc import Iterator
from typing import Any

from prov_worker.interruptions import is_own
from prov_worker.spool.own_files import open_in_private, open_own
from prov_worker.spool.places import hold

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND
_MAX_PREAMBLE = 512
#: No journal grows to this size, so a file size limit from here on is none for it.
_NO_LIMIT = 1 << 30
_SEEN = 128


class JournalWriter:
    """Appends lines from inside a worker.

    User code may close any descriptor and open another file under its number, so each write first asks whether the
    descriptor still is the journal (fstat(2), under a microsecond). It may also limit the size of files, which turns a
    write into a signal that kills (setrlimit(2)); the limit is lifted for the moment of a write. If the journal
    cannot be written, lines go to a second path in node-local memory, after the lines that give them meaning.

    Attributes:
        path: of the journal.
        fallback: the second path.
        target: the one that is written to.
        begun: the line of the running task's start, which a journal that is made again needs too.
    """

    __slots__ = ("_dev", "_fd", "_ino", "_preamble", "_size", "_torn", "begun", "fallback", "path", "target")

    def __init__(self, path: str, fallback: str) -> None:
        self.path = path
        self.fallback = fallback
        self.target = path
        self._fd = -1
        self._ino = self._dev = self._size = 0
        self._torn = False
        self._preamble: list[bytes] = []
        self.begun = b""

    def remember(self, line: bytes, first: bool = False) -> None:
        """Append a line that later ones depend on; ``first`` forgets those remembered before."""
        self.keep(line, first)
        self.write(line)

    def keep(self, line: bytes, first: bool = False) -> None:
        """Remember a line that later ones depend on, without writing it; ``first`` forgets those before."""
        if first:
            self._preamble.clear()
        if len(self._preamble) < _MAX_PREAMBLE:
            self._preamble.append(line)

    def write(self, line: bytes) -> None:
        """Append one line or more, each of which ends in a newline.

        Raises:
            OSError: neither the journal nor its fallback takes it.
        """
        if 0 <= resource.getrlimit(resource.RLIMIT_FSIZE)[0] < _NO_LIMIT:
            with _without_size_limit():
                self._write_anew(line)
            return
        fd = self._fd
        if fd >= 0:
            try:
                status = os.fstat(fd)
                if status.st_ino == self._ino and status.st_dev == self._dev and status.st_nlink and not self._torn:
                    if os.write(fd, line) == len(line):
                        return
                    self._torn = True
                elif status.st_ino != self._ino or status.st_dev != self._dev:
                    self._fd = -1  # reused by user code; do not close
            except OSError as error:
                if not is_own(error):
                    raise
                self._torn = True
        self._write_anew(line)

    def look(self) -> None:
        """Close the file if its path leads to another one or to none: it was moved, or another one is mounted there.

        The next line is written to a new one. What cannot be looked at is left as it is.
        """
        if self._fd < 0:
            return
        try:
            status = os.stat(self.target, follow_symlinks=False)
            if status.st_ino == self._ino and status.st_dev == self._dev:
                return
        except OSError as error:
            if not is_own(error):
                raise
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ESTALE):
                return
        self.close()

    def _write_anew(self, line: bytes) -> None:
        try:
            self._append(self.target, line)
            return
        except OSError as error:
            if self.target == self.fallback or not is_own(error):
                raise
        self.target = self.fallback
        self._torn = False
        self._append(self.fallback, line)

    def _append(self, path: str, line: bytes) -> None:
        self._open(path)
        if self._size == 0:
            # new, or made again after somebody removed it: later lines mean nothing without the first ones
            more = [] if line in self._preamble[-1:] else [line] if line == self.begun else [self.begun, line]
            line = b"".join([*self._preamble, *more])
        self._write_all((b"\n" + line) if self._torn else line)
        self._torn = False

    def _open(self, path: str) -> None:
        self.close()
        fd = open_in_private(path, _FLAGS)
        try:
            import fcntl

            # out of the way of programs that count on low numbers, or close the first of them
            high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _high_number())
            os.close(fd)
            fd = high
        except (OSError, ValueError, IndexError) as error:
            if not is_own(error):
                raise
            # the number is only a courtesy
        self._fd = fd
        hold(fd)
        status = os.fstat(fd)
        self._ino, self._dev, self._size = status.st_ino, status.st_dev, status.st_size

    def _write_all(self, data: bytes) -> None:
        if os.write(self._fd, data) != len(data):
            self._torn = True
            raise OSError(f"short write to {self.target}")

    def close(self) -> None:
        """Close the descriptor if it still is the journal's."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            try:
                status = os.fstat(fd)
                if status.st_ino == self._ino and status.st_dev == self._dev:
                    os.close(fd)
            except OSError as error:
                if not is_own(error):
                    raise
                # closed by somebody else already


def _high_number() -> int:
    """Return a high descriptor number that the process's table has space for: its growth can take milliseconds."""
    with open("/proc/self/status", "rb") as file:
        size = int(file.read().partition(b"FDSize:")[2].split(None, 1)[0])
    return max(size - 16, 0)


@contextlib.contextmanager
def _without_size_limit() -> Iterator[None]:
    """Lift the soft limit on file sizes, and keep its signal away if the hard limit forbids writing too."""
    which = resource.RLIMIT_FSIZE
    soft, hard = resource.getrlimit(which)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGXFSZ])
    try:
        resource.setrlimit(which, (hard, hard))
        yield
    finally:
        resource.setrlimit(which, (soft, hard))
        if signal.SIGXFSZ not in mask:
            signal.sigtimedwait([signal.SIGXFSZ], 0)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


class JournalReader:
    """Follows a journal while it grows. One that was removed and made again is read from its beginning.

    Attributes:
        path: the file.
        problems: number of complete lines that were no JSON object. A line that a full disk had torn and that follows
            again, whole, is none.
        offset: bytes read so far.
    """

    __slots__ = ("_identity", "_rest", "_seen", "_torn", "offset", "path", "problems")

    def __init__(self, path: str) -> None:
        self.path = path
        self.problems = 0
        self.offset = 0
        self._rest = b""
        self._torn: bytes | None = None
        self._identity: tuple[int, int] | None = None
        self._seen = b""  # the end of what was read: a file made again may have the inode of the one before

    def read(self, limit: int = -1) -> Iterator[dict[str, Any]]:
        """Yield lines that were added since the last call; a torn last line waits for its end.

        Args:
            limit: most bytes to read at once; the next call goes on from there.

        Raises:
            OSError: the file exists and cannot be read. A missing file has no lines.
        """
        try:
            with open(open_own(self.path), "rb", buffering=0) as file:
                status = os.fstat(file.fileno())
                identity = (status.st_dev, status.st_ino)
                if identity != self._identity or status.st_size < self.offset:
                    self._start_again(identity)
                file.seek(self.offset - len(self._seen))
                if file.read(len(self._seen)) != self._seen:
                    self._start_again(identity)
                    file.seek(0)
                data = file.read(limit)
        except FileNotFoundError:
            return
        self.offset += len(data)
        self._seen = (self._seen + data)[-_SEEN:]
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            line = line.strip(b"\0")  # what a file system leaves if a node lost power
            if not line:
                continue
            if self._torn is not None and line.startswith(self._torn):
                self.problems -= 1
            self._torn = None
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                self.problems += 1
                self._torn = line
                continue
            if isinstance(value, dict):
                yield value
            else:
                self.problems += 1

    @property
    def ends_in_junk(self) -> bool:
        """Whether what stands after the last newline is not a beginning of a line."""
        rest = self._rest.strip(b"\0")
        return bool(rest) and not rest.startswith(b"{")

    def _start_again(self, identity: tuple[int, int]) -> None:
        self._identity, self.offset, self._rest, self._seen = identity, 0, b"", b""
        self._torn = None
        self.problems = 0


def mentions(path: str, text: str) -> bool:
    """Return whether a text is in a file: a quick look before the lines are read. A missing file has none.

    Raises:
        OSError: the file cannot be read.
    """
    needle = text.encode()
    try:
        with open(open_own(path), "rb") as file:
            rest = b""
            while block := file.read(1 << 20):
                if needle in rest + block:
                    return True
                rest = block[-len(needle) :]
    except FileNotFoundError:
        pass
    return False
