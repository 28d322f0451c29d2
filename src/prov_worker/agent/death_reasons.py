"""Why a worker died, in words and as a :class:`~prov_worker.model.Failure`."""

from __future__ import annotations

import os
import signal

from prov_worker.model import Failure

_OOM_FILES = ("memory.events", "memory.oom_control")


def failure_of_death(status: int | None, host: str, pid: int, oom_kills: int = 0) -> Failure:
    """Return what a wait status says of a task that was running (wait(2)).

    Args:
        status: None if the worker's parent collected it first.
        host: node of the worker.
        pid: process id of the worker.
        oom_kills: how many processes the memory controller killed while the task ran.
    """
    worker = f"worker process {pid} on {host}"
    if status is None:
        return Failure(
            kind="unknown",
            message=f"{worker} disappeared while the task ran; its exit status was collected before it could be read",
        )
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = f"signal {number}"
        cause = ""
        if number == signal.SIGKILL and oom_kills > 0:
            cause = f"; the memory controller counted {oom_kills} out-of-memory kill(s) meanwhile"
        return Failure(kind="signal", message=f"{worker} was killed by {name}{cause}", signal=name)
    code = os.WEXITSTATUS(status)
    return Failure(kind="exit", message=f"{worker} left with exit status {code} while the task ran", exit_status=code)


def oom_kills() -> int | None:
    """Return processes of this process's memory cgroup that were killed for want of memory, so far; None if untold.

    ``memory.events`` of cgroup v2, ``memory.oom_control`` of v1 (cgroups(7), memory controller documentation).
    """
    try:
        with open("/proc/self/cgroup") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            root = "/sys/fs/cgroup" if controllers == "" else "/sys/fs/cgroup/memory"
            for base in (f"{root}{path}", root):
                for name in _OOM_FILES:
                    count = _oom_count(os.path.join(base, name))
                    if count is not None:
                        return count
    return None


def _oom_count(path: str) -> int | None:
    try:
        with open(path) as file:
            for line in file:
                fields = line.split()
                if len(fields) == 2 and fields[0] == "oom_kill":
                    return int(fields[1])
    except (OSError, ValueError):
        pass
    return None
