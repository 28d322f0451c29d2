"""The files of a task's sandbox as they are at one moment: name, size and time of change.

Standard library only: with ``capture_outputs: at_end`` the worker makes this list before its result leaves.
"""

from __future__ import annotations

import os
import time
from typing import NamedTuple

#: Most files that are listed.
MAX_FILES = 1000
#: A list takes no longer.
LIMIT_S = 30.0


class Listed(NamedTuple):
    """One regular file.

    Attributes:
        size_bytes: its size.
        modified_ns: time of its last change, by the file system's clock, ns since the epoch.
    """

    size_bytes: int
    modified_ns: int


def list_files(sandbox: str) -> tuple[dict[str, Listed], bool] | None:
    """Return regular files below a directory by their path within it, and whether these are all.

    Links are not followed: a task could point them anywhere. None if the directory is not there.
    """
    if not os.path.isdir(sandbox):
        return None
    files: dict[str, Listed] = {}
    todo = [""]
    until = time.monotonic() + LIMIT_S
    while todo:
        if time.monotonic() > until:
            return files, False
        below = todo.pop()
        try:
            entries = sorted(os.scandir(os.path.join(sandbox, below)), key=lambda entry: entry.name)
        except OSError:
            continue  # taken away at this moment, or not to be read
        for entry in entries:
            path = os.path.join(below, entry.name)
            try:
                if entry.is_dir(follow_symlinks=False):
                    todo.append(path)
                elif entry.is_file(follow_symlinks=False):
                    if len(files) == MAX_FILES:
                        return files, False
                    status = entry.stat(follow_symlinks=False)
                    files[path] = Listed(status.st_size, status.st_mtime_ns)
            except OSError:
                continue
    return files, True
