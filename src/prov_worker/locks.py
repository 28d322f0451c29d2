"""Locks of files between processes (flock(2)). Every worker imports this module."""

from __future__ import annotations

import errno
import os
import sys
import time

from prov_worker import open_flags

if sys.platform == "win32":  # for clients: whatever records runs on Linux
    import msvcrt
else:
    import fcntl

_FIRST_WAIT_S = 0.005
#: For a lock of a process that starts others: if it is killed meanwhile, the child has the lock until it runs its own
#: program (a lock of flock(2) is shared by fork(2)), which on a loaded machine is a while.
FORK_WAIT_S = 3.0
_LONGEST_WAIT_S = 0.1
#: On Windows a part of the file is locked, and nobody else can read that part: one that is never written.
_LOCKED_BYTE = 1 << 30


def open_lock(path: str | os.PathLike[str], mode: int = 0o600) -> int:
    """Open a file that is there to be locked, and make it if it is missing; return its descriptor.

    Raises:
        OSError: it cannot be made.
    """
    return os.open(path, os.O_RDWR | os.O_CREAT | open_flags.CLOEXEC, mode)


def lock(descriptor: int, wait_s: float = 0.0) -> bool:
    """Lock an open file for this process (flock(2)), until the descriptor is closed or the process ends.

    Args:
        descriptor: of :func:`open_lock`.
        wait_s: how long to wait for another process that holds it.

    Returns:
        Whether it is locked now; False if another process holds it still.

    Raises:
        OSError: the file system has no locks.
    """
    deadline = time.monotonic() + wait_s
    pause_s = _FIRST_WAIT_S
    while True:
        try:
            _lock_now(descriptor)
        except OSError as error:
            # EACCES: what Windows, and some network file systems, say of a lock that somebody else holds
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
        else:
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(min(pause_s, max(0.0, deadline - time.monotonic())))
        pause_s = min(2 * pause_s, _LONGEST_WAIT_S)


def unlock(descriptor: int) -> None:
    """Give a lock up and keep the file open."""
    if sys.platform == "win32":
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _lock_now(descriptor: int) -> None:
    """Lock an open file, or raise OSError at once."""
    if sys.platform == "win32":
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
