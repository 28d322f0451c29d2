"""Files that a task left in its sandbox: path, size and sha256, by reference."""

from __future__ import annotations

import os
import stat

from prov_worker.files import sha256_of_file
from prov_worker.model import OutputFile

MAX_FILES = 1000
#: Files larger than this, and files beyond this total, are listed without a digest: hashing must not outlast the task.
MAX_HASHED_BYTES = 1 << 30


def output_files(sandbox: str) -> tuple[list[OutputFile], str | None]:
    """Regular files below a directory, sorted by path, and a note where not all could be taken.

    Links are not followed: a task could point them anywhere.
    """
    files: list[OutputFile] = []
    hashed = 0
    for directory, directories, names in os.walk(sandbox):
        directories.sort()
        for name in sorted(names):
            path = os.path.join(directory, name)
            try:
                status = os.lstat(path)
            except OSError:
                continue
            if not os.path.isfile(path) or os.path.islink(path):
                continue
            if len(files) == MAX_FILES:
                return files, f"Only the first {MAX_FILES} files of the sandbox are listed."
            digest = None
            if hashed + status.st_size <= MAX_HASHED_BYTES:
                digest = _sha256(path)
                hashed += status.st_size
            files.append(OutputFile(os.path.relpath(path, sandbox), status.st_size, digest))
    return files, None


def declared_files(files: list[OutputFile]) -> list[OutputFile]:
    """Files that user code named, with their size and hash as they are now; what is no readable file is left out."""
    declared: list[OutputFile] = []
    hashed = 0
    for file in files:
        try:
            status = os.stat(file.path)
        except (OSError, ValueError):
            continue
        if not stat.S_ISREG(status.st_mode):
            continue
        digest = None
        if hashed + status.st_size <= MAX_HASHED_BYTES:
            digest = _sha256(file.path)
            hashed += status.st_size
        declared.append(OutputFile(file.path, status.st_size, digest))
    return declared


def _sha256(path: str) -> str | None:
    """Hex digest of a file; None where it cannot be read."""
    try:
        return sha256_of_file(path)
    except OSError:
        return None
