"""The ends of files that a command wrote its output to, read by the agent and never on the task's path."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from prov_worker.redact import redact_part

#: Characters that are kept of each.
TAIL = 64 << 10
#: A little more than is kept, so that no half of a secret is left at the beginning; 4 bytes for each character.
_READ = 4 * (TAIL + (16 << 10))


def tails(paths: Sequence[str | None]) -> tuple[str, str] | None:
    """Return the ends of standard output and standard error, redacted; None if both are empty or cannot be read.

    Args:
        paths: of both, absolute; None for a stream that went to no file.
    """
    stdout, stderr = ("" if path is None else _tail(path) for path in paths)
    return (stdout, stderr) if stdout or stderr else None


def _tail(path: str) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return ""
        data = os.pread(fd, _READ, max(0, status.st_size - _READ))
    except OSError:
        return ""
    finally:
        os.close(fd)
    return redact_part(data.decode("utf-8", "replace"), TAIL, tail=True)
