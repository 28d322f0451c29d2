"""The file that jobs survive in: JSON lines, appended by one ``write`` or few, synced to disk when it matters.

The first line names the format's version. What the lines mean is in :mod:`prov_worker.jobs.ledger`. A file is read and
written by its owner alone: it holds arguments and results, which are unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from prov_worker import locks, open_flags
from prov_worker.jobs.errors import StoreError

VERSION = 1
_MARK = "prov_worker_jobs"
_WAIT_S = 1.0
#: Bytes of one write to the file, and of the first look at a line.
_AT_ONCE_BYTES = 1 << 20
_READ_BYTES = 4096


class Store:
    """One file of jobs, opened to be written by this process alone.

    Args:
        path: the file; made if it is missing, with rights for its owner alone.
        head: the first line of a new file.

    Raises:
        StoreError: another process has it open, or it cannot be used.
    """

    def __init__(self, path: Path, head: dict[str, Any]) -> None:
        self.path = path
        self._descriptor = -1
        self._lock = _lock(path)
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | open_flags.CLOEXEC | getattr(os, "O_BINARY", 0)
            try:
                self._descriptor = os.open(path, flags, 0o600)
            except OSError as error:
                raise StoreError(path, f"cannot be opened: {error.strerror}") from error
            check_owner(path, os.fstat(self._descriptor))
            self.size = _mend(path, self._descriptor)
            if not self.size:
                self.append([{_MARK: VERSION, **head}])
                self.sync()
                _sync_directory(path.parent)
        except BaseException:
            self.close()
            raise

    def append(self, records: Sequence[dict[str, Any]]) -> list[int]:
        """Append lines; return their offsets in the file, in bytes.

        They survive the end of this process from then on, and that of the machine after :meth:`sync`.

        Raises:
            StoreError: there is no space; lines that were written whole are there when the file is read again.
        """
        offsets = []
        lines: list[bytes] = []
        end = self.size
        for record in records:
            line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
            offsets.append(end)
            end += len(line)
            lines.append(line)
            if end - self.size > _AT_ONCE_BYTES:
                self._write(b"".join(lines))
                lines.clear()
        if lines:
            self._write(b"".join(lines))
        return offsets

    def _write(self, data: bytes) -> None:
        try:
            written = os.write(self._descriptor, data)
            if written < len(data):  # what is there of a line is cut when the file is opened next
                written += os.write(self._descriptor, data[written:])
        except OSError as error:
            raise StoreError(self.path, f"cannot be written: {error.strerror}") from error
        self.size += written
        if written < len(data):
            raise StoreError(self.path, "cannot be written: no space")

    def line(self, offset: int) -> dict[str, Any]:
        """Return the line that begins at an offset.

        Raises:
            StoreError: there is none any more.
        """
        if self._descriptor < 0 or not hasattr(os, "pread"):
            return read_line(self.path, offset)
        data, step = b"", _READ_BYTES
        try:
            while b"\n" not in data and (more := os.pread(self._descriptor, step, offset + len(data))):
                data, step = data + more, 8 * step
            return dict(json.loads(data[: data.find(b"\n") + 1]))
        except (OSError, ValueError) as error:
            raise StoreError(self.path, f"byte {offset}: cannot be read: {error}") from error

    def sync(self) -> None:
        """Have all lines on disk."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Let another process have the file."""
        for name in ("_descriptor", "_lock"):
            descriptor = getattr(self, name)
            if descriptor >= 0:
                setattr(self, name, -1)
                os.close(descriptor)


def check_owner(path: Path, status: os.stat_result) -> None:
    """Refuse a file that somebody else could have written.

    Raises:
        StoreError: it is not a regular file, another user's, or one that others may write.
    """
    if not stat.S_ISREG(status.st_mode):
        raise StoreError(path, "is not a regular file")
    if hasattr(os, "getuid"):
        if status.st_uid != os.getuid():
            raise StoreError(path, "belongs to another user; what it holds would be run here")
        if status.st_mode & 0o022:
            raise StoreError(path, "others may write it, and what it holds would be run here; chmod go-w it")


def read(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield offset and content of each line, the first one too; a last line that was cut is left out.

    Raises:
        StoreError: no store, of a later version, or damaged; names the line.
    """
    try:
        with path.open("rb") as stream:
            check_owner(path, os.fstat(stream.fileno()))
            offset = 0
            for number, line in enumerate(stream, 1):
                if not line.endswith(b"\n"):
                    return
                yield offset, _parsed(path, number, line)
                offset += len(line)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        raise StoreError(path, "no such store" if missing else f"cannot be read: {error.strerror}") from None


def read_line(path: Path, offset: int) -> dict[str, Any]:
    """Return the line that begins at an offset.

    Raises:
        StoreError: there is none any more.
    """
    try:
        with path.open("rb") as stream:
            stream.seek(offset)
            return dict(json.loads(stream.readline()))
    except (OSError, ValueError) as error:
        raise StoreError(path, f"byte {offset}: cannot be read: {error}") from error


def payload_sha256(payload: str) -> str:
    """Return the digest of packed arguments."""
    return hashlib.sha256(payload.encode()).hexdigest()


def _parsed(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError as error:
        problem = "not a store of jobs" if number == 1 else f"line {number}: damaged: {error}"
        raise StoreError(path, problem) from error
    if not isinstance(record, dict) or (number == 1 and _MARK not in record):
        raise StoreError(path, "not a store of jobs" if number == 1 else f"line {number}: damaged: not an object")
    if number == 1 and record[_MARK] != VERSION:
        raise StoreError(path, f"{_MARK}: version {record[_MARK]!r}; this release reads version {VERSION}")
    return record


def _lock(path: Path) -> int:
    """Lock a store; return the descriptor that holds the lock. It stays beside the store."""
    beside = path.with_name(f"{path.name}.lock")
    try:
        descriptor = locks.open_lock(beside)
    except OSError as error:
        raise StoreError(path, f"cannot be locked: {beside}: {error.strerror}") from error
    try:
        free = locks.lock(descriptor, _WAIT_S)
    except OSError as error:
        os.close(descriptor)
        raise StoreError(path, f"cannot be locked: {error.strerror}; keep it on a file system with locks") from error
    if not free:
        holder = os.pread(descriptor, 100, 0).decode(errors="replace").strip() if hasattr(os, "pread") else ""
        os.close(descriptor)
        raise StoreError(path, f"is in use{f' by {holder}' if holder else ''}; one program at a time")
    text = f"process {os.getpid()}\n".encode()
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, text)
    return descriptor


def _mend(path: Path, descriptor: int) -> int:
    """Cut a last line that a program did not finish; return the size then."""
    size = os.fstat(descriptor).st_size
    with path.open("rb") as stream:
        end = size
        while end:
            start = max(0, end - (1 << 16))
            stream.seek(start)
            block = stream.read(end - start)
            last = block.rfind(b"\n")
            if last >= 0:
                end = start + last + 1
                break
            end = start
    if end != size:
        os.ftruncate(descriptor, end)
    return end


def _sync_directory(directory: Path) -> None:
    """Have a new file's name on disk; Windows does so by itself."""
    if os.name == "posix":
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
