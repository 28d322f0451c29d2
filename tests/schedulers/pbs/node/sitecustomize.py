"""A node with more CPUs than this machine: ``NODE_CPUS`` of them, for processes with this directory in PYTHONPATH.

Python imports it at its start. It keeps what a process asks for by ``os.sched_setaffinity`` and gives it back; the
kernel, which would refuse CPUs that are not there, is not asked. So Parsl starts as many workers as on such a node and
binds them by a site's own list, of which each worker sees its part.
"""

from __future__ import annotations

import os

_mine = set(range(int(os.environ.get("NODE_CPUS", "0"))))
_cpus_of = os.sched_getaffinity
_bind = os.sched_setaffinity


def _getaffinity(pid: int) -> set[int]:
    return set(_mine) if pid in (0, os.getpid()) else _cpus_of(pid)


def _setaffinity(pid: int, cpus: object) -> None:
    global _mine
    if pid not in (0, os.getpid()):
        _bind(pid, cpus)  # type: ignore[arg-type]
        return
    wanted = set(cpus)  # type: ignore[call-overload]
    if not wanted or not wanted <= set(range(int(os.environ["NODE_CPUS"]))):
        raise OSError(22, "Invalid argument")
    _mine = wanted


if _mine:
    os.sched_getaffinity = _getaffinity
    os.sched_setaffinity = _setaffinity
    os.cpu_count = lambda: int(os.environ["NODE_CPUS"])
