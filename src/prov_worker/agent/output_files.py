"""Files that a task left in its sandbox: path, size and sha256, by reference.

A task may name anything: a FIFO that nobody writes to, a file of ``/proc`` without end, a log that grows for ever. So
no more is read of a file than the size that it had, nothing is waited for, and the time for all files of a task is
limited.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from dataclasses import dataclass, field

from prov_worker.model import OutputFile

MAX_FILES = 1000
#: Files larger than this, and files beyond this total, are listed without a digest: hashing must not outlast the task.
MAX_HASHED_BYTES = 1 << 30
MAX_SECONDS = 30.0
_BLOCK_BYTES = 1 << 20
#: What stands there is made as it is read, and has no size.
_MADE = ("/proc/", "/sys/")


@dataclass(slots=True)
class Budget:
    """How much may be read of the files of one task.

    Attributes:
        left_bytes: that may still be hashed.
        until: moment after which nothing is looked at (``time.monotonic``).
    """

    left_bytes: int = field(default_factory=lambda: MAX_HASHED_BYTES)
    until: float = field(default_factory=lambda: time.monotonic() + MAX_SECONDS)

    @property
    def is_over(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() > self.until


def output_files(sandbox: str, budget: Budget | None = None) -> tuple[list[OutputFile], str | None]:
    """Regular files below a directory, sorted by path, and a note where not all could be taken.

    Links are not followed: a task could point them anywhere.
    """
    files: list[OutputFile] = []
    budget = budget or Budget()
    if _is_made(sandbox):
        return [], f"{sandbox} holds no files that a task could have left."
    for directory, directories, names in os.walk(sandbox):
        directories.sort()
        if budget.is_over:
            return files, f"Only files that were found within {MAX_SECONDS:g} s are listed."
        for name in sorted(names):
            path = os.path.join(directory, name)
            try:
                status = os.lstat(path)
            except OSError:
                continue
            if not stat.S_ISREG(status.st_mode):
                continue
            if len(files) == MAX_FILES:
                return files, f"Only the first {MAX_FILES} files of the sandbox are listed."
            digest = _digest(path, status.st_size, budget, os.O_NOFOLLOW)
            files.append(OutputFile(os.path.relpath(path, sandbox), status.st_size, digest))
    return files, None


def declared_files(files: list[OutputFile], budget: Budget | None = None) -> list[OutputFile]:
    """Files that user code named, with their size and hash as they are now; what is no readable file is left out."""
    declared: list[OutputFile] = []
    budget = budget or Budget()
    for file in files:
        try:
            status = os.stat(file.path)
        except (OSError, ValueError):
            continue
        if not stat.S_ISREG(status.st_mode) or _is_made(file.path):
            continue
        digest = _digest(file.path, status.st_size, budget)
        declared.append(OutputFile(file.path, status.st_size, digest))
    return declared


def _is_made(path: str) -> bool:
    return f"{os.path.realpath(path)}/".startswith(_MADE)


def _digest(path: str, size: int, budget: Budget, flags: int = 0) -> str | None:
    """Hex digest of the first bytes of a file, as many as it had; None if it has fewer, or they cannot be read."""
    if size > budget.left_bytes or budget.is_over:
        return None
    budget.left_bytes -= size
    digest = hashlib.sha256()
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | flags)
        with open(descriptor, "rb", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            while size and not budget.is_over:
                block = file.read(min(size, _BLOCK_BYTES))
                if not block:
                    return None
                digest.update(block)
                size -= len(block)
    except (OSError, ValueError):
        return None
    return None if size else digest.hexdigest()
