"""Opening files: flags of ``open(2)`` that not every system has, nothing on one that lacks them.

What reads crates, runs and stores of jobs serves clients on macOS and Windows too.
"""

from __future__ import annotations

import os

#: Children do not inherit the descriptor; Python sees to it by itself (PEP 446).
CLOEXEC: int = getattr(os, "O_CLOEXEC", 0)
#: A directory alone.
DIRECTORY: int = getattr(os, "O_DIRECTORY", 0)
#: No link as the last part of a path.
NOFOLLOW: int = getattr(os, "O_NOFOLLOW", 0)
#: Do not wait for what is not a file, such as a pipe.
NONBLOCK: int = getattr(os, "O_NONBLOCK", 0)
#: To name what is below a directory; Linux needs no right to list it then.
PATH: int = getattr(os, "O_PATH", 0)


def open_to_read(path: str) -> int:
    """Return a file descriptor, which children do not inherit; -1 if the file cannot be opened."""
    try:
        return os.open(path, os.O_RDONLY | CLOEXEC)
    except OSError:
        return -1
