"""Daemons of endpoints, as the files in a user directory show them.

On login nodes that share a home, one may run on another host, where its process cannot be seen from here.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

PID_FILE = "daemon.pid"
#: Globus Compute takes a daemon for alive whose file is younger; a daemon touches its own every 15 s.
FRESH_S = 30.0


@dataclass(frozen=True, slots=True)
class Daemon:
    """A daemon that is alive.

    Attributes:
        endpoint: its directory.
        pid: on its own host.
        here: whether that is this host.
    """

    endpoint: Path
    pid: int
    here: bool


def running(endpoint: Path) -> Daemon | None:
    """The daemon of an endpoint's directory; None where none is alive."""
    file = endpoint / PID_FILE
    try:
        age_s = abs(time.time() - file.stat().st_mtime)
        pid = int(file.read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        return None
    here = _is_endpoint(pid, endpoint)
    if here or age_s < FRESH_S:
        return Daemon(endpoint, pid, here)
    return None


def all_running(user_dir: Path) -> list[Daemon]:
    """Daemons of a user directory, without user endpoints, which come and go."""
    found = [running(file.parent) for file in sorted(user_dir.glob(f"*/{PID_FILE}"))]
    return [one for one in found if one is not None and not one.endpoint.name.startswith("uep.")]


def _is_endpoint(pid: int, endpoint: Path) -> bool:
    """Whether a process of this host is the daemon of that endpoint, and not one that was given an old number."""
    import psutil

    try:
        words = psutil.Process(pid).cmdline()
    except psutil.Error:
        return False
    # The daemon gives itself a title that names its directory.
    told = " ".join(words)
    return "globus" in told.lower() and endpoint.name in told
