"""Directories in which crates are made, and those that killed writers left.

The name of such a directory says who makes it: ``.tmp-<crate>~<host>~<place>~<pid>~<start>~<number>``. The place is the
boot and the name space of process ids in which the other numbers mean something.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import shutil
import stat
import time
from functools import lru_cache
from pathlib import Path

from prov_worker import processes
from prov_worker.crate import vocabulary as v
from prov_worker.crate.json_text import safe_name
from prov_worker.model import host_name

#: Nothing in a directory of another place, whose processes cannot be seen from here, has changed for so long.
QUIET_S = 3600.0
_numbers = itertools.count()
#: What :func:`staging_name` gives.
_NAME = re.compile(r".+~[^~]*~[0-9a-f]{12}~\d+~\d+~\d+", re.DOTALL)


def staging_name(stem: str) -> str:
    """Return a name for a directory in the making, which no other one has.

    Args:
        stem: tells people what it is to become.
    """
    return f"{v.STAGING_PREFIX}{stem}~{writer_name()}~{next(_numbers)}"


def writer_name() -> str:
    """Return what names this process among all that write crates: ``<host>~<place>~<pid>~<start>``."""
    pid = os.getpid()
    return f"{place_name()}~{pid}~{_start(pid)}"


def writer_lives(name: str) -> bool | None:
    """Return whether the process of a :func:`writer_name` runs; None if that cannot be seen from here."""
    staged = f"{v.STAGING_PREFIX}~{name}~0"
    return _lives(staged) if _is_here(staged) else None


@lru_cache(maxsize=1)
def place_name() -> str:
    """Return host and place of this process: the boot and the name space in which its process ids mean something."""
    key = f"{processes.boot_id()}\0{processes.pid_namespace()}"
    host = safe_name(host_name())[:32]
    return f"{host}~{hashlib.sha256(key.encode()).hexdigest()[:12]}"


@lru_cache(maxsize=8)
def _start(pid: int) -> int:
    return processes.process_start(pid)


def remove_leftovers(crate_dir: Path, quiet_s: float = QUIET_S, *, plain: bool = False) -> list[Path]:
    """Remove what killed writers left in the making: their records make the crates again.

    A directory of this place is removed if its process is gone. One of another place, be it another node, a container
    or an earlier boot, is removed if nothing in it has changed for long. Other users' are left alone.

    Args:
        crate_dir: where crates appear.
        quiet_s: what is long, in seconds.
        plain: it may be a directory for other things too: names of version 0.1.0, which may be anybody's, are left.

    Returns:
        What was removed.

    Raises:
        OSError: the directory cannot be listed.
    """
    with os.scandir(crate_dir) as entries:
        names = sorted(entry.name for entry in entries if entry.name.startswith(v.STAGING_PREFIX))
    removed = []
    for name in names:
        path = crate_dir / name
        if (plain or not path.is_dir()) and not _NAME.fullmatch(name):
            continue  # version 0.1.0 made no files
        if _is_mine(path) and not (_lives(name) if _is_here(name) else _changed_s(path) < quiet_s):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
            if not path.exists():
                removed.append(path)
    return removed


def _is_mine(path: Path) -> bool:
    """Return whether it is a directory of this user, or a pack, and not a link."""
    try:
        status = path.lstat()
    except OSError:
        return False  # its writer finished, or another process removed it
    kind = stat.S_IFMT(status.st_mode)
    return kind in (stat.S_IFDIR, stat.S_IFREG) and status.st_uid == os.getuid()


def _is_here(name: str) -> bool:
    """Return whether the process that a name gives can be seen from here."""
    if not processes.pid_namespace():
        return False
    fields = name.rsplit("~", 5)
    return (
        len(fields) == 6 and f"{fields[1]}~{fields[2]}" == place_name() and fields[3].isdigit() and fields[4].isdigit()
    )


def _lives(name: str) -> bool:
    _, _, _, pid, start, _ = name.rsplit("~", 5)
    return processes.is_running(int(pid), int(start))


def _changed_s(path: Path) -> float:
    """Return seconds since the last change of a file, or of a directory or one in it."""
    try:
        last = os.lstat(path).st_mtime
    except OSError:
        return 0.0
    for directory, _, _ in os.walk(path):
        try:
            last = max(last, os.stat(directory).st_mtime)
        except OSError:
            return 0.0  # it is being changed now
    return time.time() - last
