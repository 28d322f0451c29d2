"""What libraries tell of a running task: small files in node-local memory, one per library and process.

``<runtime>/captures/<task id>-<start, ns>/<library>.<pid>.json``. Written by the worker and by processes that its task
started, each file whole; read and taken away by the node's agent when the task has ended, whatever ended it.
"""

from __future__ import annotations

import json
import os
import shutil
from typing import Any

from prov_worker.attempt import AttemptId
from prov_worker.spool.own_files import make_private, open_own, read_own

_DIRECTORY = "captures"
_SUFFIX = ".json"
MAX_BYTES = 4 << 20
_MAX_FILES = 256


def captures_dir(runtime: str, attempt: AttemptId) -> str:
    """Return where the files of an attempt are; there is no such directory if no library has reported anything."""
    return f"{runtime}/{_DIRECTORY}/{attempt.task_id}-{attempt.start_ns}"


def make_captures_dir(runtime: str, attempt: AttemptId) -> str:
    """Make the directory of an attempt's files, and return it.

    Raises:
        OSError: it cannot be made, or is somebody else's.
    """
    make_private(f"{runtime}/{_DIRECTORY}")
    directory = captures_dir(runtime, attempt)
    make_private(directory)
    return directory


def write_capture(runtime: str, attempt: AttemptId, library: str, data: Any) -> None:
    """Write what a library tells, in the place of what this process wrote of it before.

    Raises:
        OSError: it cannot be written.
        ValueError: it is too large, or no plain data.
    """
    text = json.dumps(data).encode()
    if len(text) > MAX_BYTES:
        raise ValueError(f"{len(text)} bytes are more than the {MAX_BYTES} that a library may tell of a task")
    directory = make_captures_dir(runtime, attempt)
    path = f"{directory}/{library}.{os.getpid()}{_SUFFIX}"
    descriptor = open_own(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    with open(descriptor, "wb") as file:
        file.write(text)
    os.rename(f"{path}.new", path)


def read_captures(runtime: str, attempt: AttemptId) -> dict[str, list[Any]]:
    """Return what libraries report of an attempt, by library; what cannot be read is left out."""
    directory = captures_dir(runtime, attempt)
    captures: dict[str, list[Any]] = {}
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return captures
    for name in names[:_MAX_FILES]:
        if not name.endswith(_SUFFIX):
            continue
        try:
            if os.stat(f"{directory}/{name}").st_size <= MAX_BYTES:
                captures.setdefault(name.partition(".")[0], []).append(json.loads(read_own(f"{directory}/{name}")))
        except (OSError, ValueError):
            continue
    return captures


def remove_captures(runtime: str, attempt: AttemptId) -> None:
    """Take away what libraries report of an attempt."""
    shutil.rmtree(captures_dir(runtime, attempt), ignore_errors=True)
