"""``python -m support.faulty_fs BACKING MOUNT ORDERS``: a file system that fails on request.

It shows a directory under another path (FUSE, in the foreground, until it is unmounted). While the file ``ORDERS`` has
a line such as ``EIO read write``, those operations fail with that error; with ``*``, all of them do.
"""

from __future__ import annotations

import errno
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import mfusepy

_Operation = TypeVar("_Operation", bound=Callable[..., Any])


def _on_request(operation: _Operation) -> _Operation:
    """Let an operation fail while it is asked for."""

    @functools.wraps(operation)
    def wrapped(self: Faulty, *arguments: Any, **options: Any) -> Any:
        name, _, failing = self.orders.read_text().strip().partition(" ")
        if operation.__name__ in failing.split() or failing == "*":
            raise OSError(getattr(errno, name), os.strerror(getattr(errno, name)))
        return operation(self, *arguments, **options)

    return wrapped  # type: ignore[return-value]


class Faulty(mfusepy.Operations):  # type: ignore[misc]
    """Passes every operation on, unless it is to fail."""

    use_ns = True

    def __init__(self, backing: str, orders: Path) -> None:
        self._backing = backing
        self.orders = orders

    def _at(self, path: str) -> str:
        return self._backing + path

    @_on_request
    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        status = os.lstat(self._at(path))
        names = ("st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_blocks", "st_ino")
        times = {f"st_{name}": getattr(status, f"st_{name}_ns") for name in ("atime", "mtime", "ctime")}
        return {name: getattr(status, name) for name in names} | times

    @_on_request
    def readdir(self, path: str, fh: int) -> list[str]:
        return [".", "..", *os.listdir(self._at(path))]

    @_on_request
    def open(self, path: str, flags: int) -> int:
        # the kernel gives each write its place, also if the file is to be appended to
        return os.open(self._at(path), flags & ~os.O_APPEND)

    @_on_request
    def create(self, path: str, mode: int, fi: Any = None) -> int:
        return os.open(self._at(path), os.O_RDWR | os.O_CREAT, mode)

    @_on_request
    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return os.pread(fh, size, offset)

    @_on_request
    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        return os.pwrite(fh, data, offset)

    @_on_request
    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        os.truncate(self._at(path), length)
        return 0

    @_on_request
    def fsync(self, path: str, datasync: int, fh: int) -> int:
        os.fsync(fh)
        return 0

    @_on_request
    def release(self, path: str, fh: int) -> int:
        os.close(fh)
        return 0

    @_on_request
    def mkdir(self, path: str, mode: int) -> int:
        os.mkdir(self._at(path), mode)
        return 0

    @_on_request
    def rmdir(self, path: str) -> int:
        os.rmdir(self._at(path))
        return 0

    @_on_request
    def unlink(self, path: str) -> int:
        os.unlink(self._at(path))
        return 0

    @_on_request
    def rename(self, old: str, new: str) -> int:
        os.rename(self._at(old), self._at(new))
        return 0

    @_on_request
    def chmod(self, path: str, mode: int) -> int:
        os.chmod(self._at(path), mode)
        return 0

    @_on_request
    def utimens(self, path: str, times: Any = None) -> int:
        os.utime(self._at(path), ns=times)
        return 0


if __name__ == "__main__":
    _, BACKING, MOUNT, ORDERS = sys.argv
    # nothing is kept in the kernel: what fails is seen at once
    mfusepy.FUSE(
        Faulty(BACKING, Path(ORDERS)), MOUNT, foreground=True, attr_timeout=0, entry_timeout=0, negative_timeout=0
    )
