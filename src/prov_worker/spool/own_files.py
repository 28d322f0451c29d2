"""Files and directories that are this user's alone: nothing else of a spool or a runtime directory is read or written.

A crate directory may be writable by others, and so are ``/dev/shm`` and ``/tmp``. Whatever stands there under a name of
ours may be a link to somewhere else, a FIFO that never answers, or another user's.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from prov_worker.interruptions import is_own

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: Without O_NONBLOCK, to open a FIFO waits for somebody at its other end.
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OWN = stat.S_IRUSR | stat.S_IWUSR
_WRITABLE = stat.S_IWGRP | stat.S_IWOTH


def is_private(path: str) -> bool | None:
    """Return whether a path is a directory of this user's own, closed to others; None if there is nothing.

    One that others could read, but not write to, is closed to them first.
    """
    try:
        status = os.lstat(path)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & _WRITABLE:
            return False
        if status.st_mode & _OTHERS:
            os.chmod(path, stat.S_IRWXU)
    except FileNotFoundError:
        return None
    except OSError:
        return False
    return True


def make_private(path: str) -> None:
    """Make a directory for this user alone, unless it is there.

    Raises:
        OSError: it cannot be made, or what is there is something else, another user's or open to others.
    """
    try:
        os.mkdir(path, stat.S_IRWXU)
    except FileExistsError:
        if not is_private(path):
            raise PermissionError(errno.EPERM, "is not a directory of this user's alone", path) from None


def leads_to(path: str, identity: tuple[int, int]) -> bool:
    """Return whether a path still leads to a file of this device and inode: another process may have removed it.

    What cannot be looked at, as by a task that has become another user, is taken to be there.
    """
    try:
        status = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    except OSError as error:
        if not is_own(error):
            raise
        return True
    return (status.st_dev, status.st_ino) == identity


def open_own(path: str, flags: int = os.O_RDONLY) -> int:
    """Open a file of this user's and return its descriptor; with ``O_CREAT`` in the flags it is made (0600).

    Raises:
        OSError: it cannot be opened, or it is a link, a FIFO, a device or another user's.
    """
    descriptor = os.open(path, flags | _FILE, _OWN)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        os.close(descriptor)
        raise PermissionError(errno.EPERM, "is not a file of this user's", path)
    return descriptor


def read_own(path: str, limit: int = -1) -> bytes:
    """Return the content of a file of this user's, or the first ``limit`` bytes of it.

    Raises:
        OSError: as of :func:`open_own`, or it cannot be read.
    """
    with open(open_own(path), "rb") as file:
        return file.read(limit)


def replace_in_private(path: str, data: bytes) -> None:
    """Replace a file in a directory that is this user's alone, whole or not at all; both are made if they are missing.

    Raises:
        OSError: as of :func:`open_in_private`, or there is no space left; the file is as it was.
    """
    directory, name = os.path.split(path)
    at = _open_private(directory)
    beside = f".{name}.{os.getpid()}.part"
    try:
        try:
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _FILE, _OWN, dir_fd=at)
            with open(descriptor, "wb", buffering=0) as file:
                if file.write(data) != len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
            os.replace(beside, name, src_dir_fd=at, dst_dir_fd=at)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(beside, dir_fd=at)
            raise
    finally:
        os.close(at)


def append_own(path: str, data: bytes) -> None:
    """Append to a file of this user's; it is made if it is missing, as is its directory.

    Raises:
        OSError: as of :func:`open_in_private`, or there is no space left.
    """
    descriptor = open_in_private(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)


def open_in_private(path: str, flags: int) -> int:
    """Open a file in a directory that is this user's alone; both are made if they are missing.

    Raises:
        OSError: one of them is somebody else's, or cannot be made or opened.
    """
    directory, name = os.path.split(path)
    at = _open_private(directory)
    try:
        descriptor = os.open(name, flags | _FILE, _OWN, dir_fd=at)
    finally:
        os.close(at)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        os.close(descriptor)
        raise PermissionError(errno.EPERM, "is not a file of this user's", path)
    return descriptor


def _open_private(directory: str) -> int:
    """Open a directory that is this user's alone, and make it if it is missing.

    Raises:
        OSError: it is somebody else's, or cannot be made or opened.
    """
    try:
        os.mkdir(directory, stat.S_IRWXU)
    except FileExistsError:
        pass
    except FileNotFoundError:
        os.makedirs(os.path.dirname(directory), stat.S_IRWXU, exist_ok=True)
        with contextlib.suppress(FileExistsError):  # another process made it meanwhile
            os.mkdir(directory, stat.S_IRWXU)
    at = os.open(directory, _DIRECTORY)
    status = os.fstat(at)
    if status.st_uid != os.geteuid() or status.st_mode & _WRITABLE:
        os.close(at)
        raise PermissionError(errno.EPERM, "is not a directory of this user's alone", directory)
    return at


def allocate(descriptor: int, size: int) -> None:
    """Give a new file its size with all of its blocks, so that no store into its memory can fail for want of it.

    Raises:
        OSError: there is no space left.
    """
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        # filters of system calls (seccomp) and some file systems refuse it
        if error.errno not in (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL):
            raise
        written = os.pwrite(descriptor, bytes(size), 0)
        if written != size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None
