"""Where bills of materials are beside crates: ``.software``, or ``.software-<uid>`` if that is another user's."""

from __future__ import annotations

import functools
import os
import re
import time

from prov_worker.crate import vocabulary as v
from prov_worker.files import write_file

#: Pattern of the names of both.
DIRECTORY = rf"{re.escape(v.SOFTWARE_DIR)}(-[0-9]{{1,10}})?"
_NAME = re.compile(DIRECTORY)
#: Within this a change may leave a directory's time as it is, ns.
_UNSURE_NS = 1_000_000_000


def bill_directories(directory: str | os.PathLike[str]) -> list[str]:
    """Return the directories of bills beside the crates of a directory, the plain name first.

    Readers ask for each crate: what was found is kept until the directory changes.
    """
    path = os.fspath(directory)
    try:
        changed_ns = os.stat(path).st_mtime_ns
    except OSError:
        return []
    look = _look.__wrapped__ if abs(time.time_ns() - changed_ns) < _UNSURE_NS else _look
    return list(look(path, changed_ns))


@functools.lru_cache(maxsize=64)
def _look(path: str, changed_ns: int) -> tuple[str, ...]:
    try:
        names = sorted(os.listdir(path))
    except OSError:
        names = [v.SOFTWARE_DIR]  # what may not be listed may still be entered
    return tuple(os.path.join(path, name) for name in names if _NAME.fullmatch(name))


def write_bill(directory: str | os.PathLike[str], name: str, data: bytes) -> None:
    """Write a bill beside the crates of a directory, unless it is there.

    Raises:
        OSError: it cannot be written.
    """
    plain = os.path.join(directory, v.SOFTWARE_DIR)
    own = f"{plain}-{os.geteuid()}"
    if any(os.access(os.path.join(place, name), os.R_OK) for place in (plain, own)):
        return
    try:
        _write(plain, name, data)
    except PermissionError:
        if not os.path.isdir(plain):
            raise
        _write(own, name, data)  # the plain one is another user's


def _write(place: str, name: str, data: bytes) -> None:
    os.makedirs(place, exist_ok=True)
    write_file(os.path.join(place, name), data)
