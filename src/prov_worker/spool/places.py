"""Places: where a process id means something.

A place is a boot of a machine, a name space of process ids, the file system that holds the runtime directory, and a
host name as uname(2) gives it. Two containers of one node may have one host name, two nodes may both be called
``localhost``, and all of them may share a crate directory. So journals name their place, and what ``/proc`` says here
is believed of journals of this place alone. Those of another are left alone while anybody writes to them or holds them.

The kernel gives the number of a name space again once it is gone: a container that was restarted may be the same place.
That is no harm: of two places of one name only one lives, and a process is known by its start as well as by its number.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import time

from prov_worker.processes import boot_id, host_name, pid_namespace
from prov_worker.spool.own_files import open_own

#: A journal of another place that was written to, or whose lease was renewed, in the last minutes has a living writer.
QUIET_S = 300.0
#: An agent renews the leases of its workers' journals so often: their time of change.
RENEW_S = 60.0
LENGTH = 12


def place(root: str | None) -> str:
    """Return what names this place.

    Args:
        root: the directory that holds the runtime directory; None if there is none. Not the runtime directory itself,
            which its agent takes away when there is nothing left to do.
    """
    device = inode = 0
    if root is not None:
        try:
            status = os.stat(root)
            device, inode = status.st_dev, status.st_ino
        except OSError:
            pass  # as if there were none
    parts = (boot_id(), pid_namespace(), device, inode, host_name())
    return hashlib.sha256("\0".join(map(str, parts)).encode("utf-8", "surrogateescape")).hexdigest()[:LENGTH]


def why_busy(journal: str) -> str | None:
    """Return why a journal of another place is left alone; None if it was quiet for long and nobody holds it.

    Raises:
        OSError: it cannot be looked at.
    """
    if time.time() - os.stat(journal, follow_symlinks=False).st_mtime < QUIET_S:
        return "written to in the last minutes"
    descriptor = open_own(journal, os.O_RDWR)  # some network file systems lock only what may be written to
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return "held by its writer"
    finally:
        os.close(descriptor)
    return None


def hold(descriptor: int) -> None:
    """Hold a journal that is open for writing, if the file system has locks: until it is closed or the process ends."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        pass  # then the time of the last change has to do


def renew(journal: str) -> None:
    """Renew the lease of a journal whose writer lives.

    Raises:
        OSError: it cannot be changed, or it is not there.
    """
    os.utime(journal, follow_symlinks=False)
