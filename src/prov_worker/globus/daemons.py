"""An endpoint's daemon, as its directory and the titles of processes show it (globus-compute-endpoint 4.15 to 4.19).

The daemon keeps ``daemon.pid`` while it runs, touches it every 15 s, refuses to start while another's is younger than
three heartbeats, and ends if its own is removed. On login nodes that share a home, it may run on another host, where
its process cannot be seen from here.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from prov_worker.globus import processes

PID_FILE = "daemon.pid"
#: A pid file that a living daemon would have touched several times by now.
STALE_S = 60.0
_TITLE = "Globus Compute Endpoint *("
_USER_TITLE = "Globus Compute Endpoint ("

CoreState = Literal["absent", "running", "stale", "elsewhere"]


@dataclass(frozen=True, slots=True)
class Core:
    """The daemon, as its pid file tells.

    Attributes:
        state: ``absent`` without a pid file; ``running`` here; ``stale`` if the process is gone; ``elsewhere``
            if somebody has touched the file lately and the process is not here.
        process: where it runs.
        touched_s: age of the pid file's last touch.
        pid: the number in the file, which may be another host's; None if it has none.
    """

    state: CoreState
    process: psutil.Process | None = None
    touched_s: float | None = None
    pid: int | None = None


def look(endpoint: Path, seen: int | None = None) -> Core:
    """Return whether the daemon of an endpoint's directory runs.

    Args:
        endpoint: the directory; its name is the endpoint's.
        seen: id of the process that was started, or seen to run, on this host; of an earlier boot too.
    """
    file = endpoint / PID_FILE
    try:
        touched = file.stat().st_mtime
    except OSError:
        return Core("absent")
    age = max(0.0, time.time() - touched)
    pid = number(endpoint)
    if pid is None:
        # Just being made, or cut off by a full disk.
        return Core("stale" if age > 5 else "elsewhere", None, age)
    process = processes.living(pid)
    # A process that began after the last touch has the number by chance.
    if process is not None and process.create_time() <= touched + 2 and is_core(process, endpoint.name):
        return Core("running", process, age, pid)
    if seen == pid or age > STALE_S:
        return Core("stale", None, age, pid)
    return Core("elsewhere", None, age, pid)


def look_at_all(user_dir: Path) -> dict[Path, Core]:
    """Return living daemons of a user directory, by their directory; without user endpoints, which come and go."""
    cores = {file.parent: look(file.parent) for file in sorted(user_dir.glob(f"*/{PID_FILE}"))}
    return {
        path: core
        for path, core in cores.items()
        if core.state in ("running", "elsewhere") and not path.name.startswith("uep.")
    }


def number(endpoint: Path) -> int | None:
    """Return what the pid file of an endpoint, or of a user endpoint, says; None if it says nothing."""
    try:
        return int((endpoint / PID_FILE).read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return None


def is_core(process: psutil.Process, name: str) -> bool:
    """Return whether a process is the daemon of an endpoint of that name, or on its way to become it."""
    command = processes.command(process)
    if is_core_title(command):
        return f", {name})" in command
    arguments = processes.arguments(process)
    return "start" in arguments and name in arguments and any("globus-compute-endpoint" in word for word in arguments)


def is_core_title(title: str) -> bool:
    """Return whether a title is that of a daemon; user endpoints have another."""
    return _TITLE in title


def is_user_endpoint(process: psutil.Process) -> bool:
    """Return whether a process is a user endpoint, or on its way to become one."""
    command = processes.command(process)
    return _USER_TITLE in command or "_start-user-endpoint" in command or "--die-with-parent" in command


def wants_email() -> bool:
    """Return whether Globus Compute starts no daemon in this process's name whose configuration has no ``email``.

    It takes root, and who may change users, for somebody who serves others.
    """
    try:
        from globus_compute_endpoint.endpoint.utils import is_privileged
    except ImportError:
        return False
    return bool(is_privileged())
