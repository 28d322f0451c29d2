"""This user's processes on this host: found by psutil, distinguished by id and start, and ended.

Globus Compute and Parsl give their processes titles, which overwrite their environment; what a process has open says
then whose it is.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import psutil

from prov_worker.processes import process_start

_DELETED = " (deleted)"


def is_alive(process: psutil.Process) -> bool:
    """Return whether a process runs still; one that nobody has waited for does not."""
    try:
        return process.is_running() and process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.Error:
        return False


def living(pid: int, start: int | None = None) -> psutil.Process | None:
    """Return the living process of an id that is this user's; None if there is none.

    Args:
        pid: its id, which alone may be another's by tomorrow.
        start: clock ticks since boot at which it began, if that is known. psutil's ``create_time`` is no substitute in
            a file: it moves when the clock is set.
    """
    try:
        process = psutil.Process(pid)
        if process.uids().real != os.getuid() or not is_alive(process):
            return None
    except (psutil.Error, ValueError, OverflowError):
        return None
    return process if start in (None, process_start(pid)) else None


def mine() -> Iterator[psutil.Process]:
    """Yield all living processes of this user, but this one."""
    for pid in psutil.pids():
        if pid != os.getpid() and (process := living(pid)) is not None:
            yield process


def arguments(process: psutil.Process) -> list[str]:
    """Return command line in words, or the title; empty if it is gone or closed to this user."""
    try:
        return process.cmdline()
    except (psutil.Error, OSError):
        return []


def command(process: psutil.Process) -> str:
    """Return command line or title."""
    return " ".join(arguments(process)).strip()


def environment(process: psutil.Process) -> dict[str, str]:
    """Return environment at its start; of a process with a title, what that left."""
    try:
        return process.environ()
    except (psutil.Error, OSError):
        return {}


def opened(process: psutil.Process) -> list[str]:
    """Return paths of files that a process has open, and its working directory last.

    psutil's ``open_files`` looks at each file, and hangs if one lies on a file system that does not answer.
    """
    directory = f"/proc/{process.pid}/fd"
    try:
        links = [f"{directory}/{name}" for name in os.listdir(directory)]
    except OSError:
        links = []
    paths = []
    for link in (*links, f"/proc/{process.pid}/cwd"):
        with contextlib.suppress(OSError):
            path = os.readlink(link)
            if path.startswith("/"):
                paths.append(path.removesuffix(_DELETED))
    return paths


def has_open_below(process: psutil.Process, directory: Path) -> bool:
    """Return whether a process has a file open below a directory, or works there."""
    top = f"{os.path.realpath(directory)}{os.sep}"
    return any(f"{path}{os.sep}".startswith(top) for path in opened(process))


def end(
    targets: Iterable[psutil.Process], grace_s: float, *, interrupted: Callable[[], bool] = lambda: False
) -> list[psutil.Process]:
    """End processes by SIGTERM, then SIGKILL for what is left. psutil signals none that only has the same id.

    Args:
        targets: processes.
        grace_s: how long to wait between the two.
        interrupted: asked while waiting; if it says yes, nothing more is waited for or sent.

    Returns:
        What needed SIGKILL.
    """
    targets = list(targets)
    for target in targets:
        with contextlib.suppress(psutil.Error):
            target.terminate()
    left = wait_gone(targets, grace_s, interrupted=interrupted)
    if interrupted():
        return []
    for target in left:
        with contextlib.suppress(psutil.Error):
            target.kill()
    wait_gone(left, 5.0, interrupted=interrupted)
    return left


def wait_gone(
    targets: Iterable[psutil.Process], limit_s: float, *, interrupted: Callable[[], bool] = lambda: False
) -> list[psutil.Process]:
    """Wait until processes are gone; returns those that are not in time.

    ``psutil.wait_procs`` would take the exit status of this process's own children, which ``Popen`` wants.
    """
    deadline = time.monotonic() + limit_s
    targets = list(targets)
    while (left := [target for target in targets if is_alive(target)]) and not interrupted():
        if time.monotonic() >= deadline:
            break
        time.sleep(0.05)
    return left
