"""Small files: written aside and renamed, closed to others."""

from __future__ import annotations

import errno
import os
from pathlib import Path

#: A disk, a quota or a limit says that there is no room.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace a file by another, whole or not at all.

    Raises:
        OSError: there is no room or no right; the file is as it was.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            # A full quota of a network file system shows here, and not before.
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise


def room_for(directory: Path, size: int = 8192) -> str | None:
    """Why a small file cannot be written into a directory; None where it can."""
    try:
        write(directory / ".room", "0" * size)
        (directory / ".room").unlink()
    except OSError as error:
        return error.strerror or str(error)
    return None
