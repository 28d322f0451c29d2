"""Limits that a control group sets on the process: a job's or a container's share of the node.

Version 1, version 2 and the hybrid of both: cgroups(7), and the kernel's ``cgroup-v1/memory.rst``, ``cgroup-v2.rst``.
"""

from __future__ import annotations

from pathlib import Path

from prov_worker.probes.base import ProbeContext
from prov_worker.probes.read_files import parse_int, read_text

# Version 1 has no word for "unlimited": it shows the largest multiple of a page in 63 bits.
_UNLIMITED = 1 << 62


def memory_limit(context: ProbeContext) -> tuple[str | None, int | None]:
    """Version that holds the memory controller (``v1``, ``v2``, None) and the tightest limit in bytes, if any.

    A limit binds everything below it, so the process's group and all groups above it are asked: batch systems set
    the limit on the job, a level or two above.
    """
    version, directories = _groups(context, "memory")
    file = "memory.limit_in_bytes" if version == "v1" else "memory.max"
    limits = [limit for limit in (parse_int(read_text(d / file)) for d in directories) if limit is not None]
    return version, min((limit for limit in limits if 0 <= limit < _UNLIMITED), default=None)


def cpu_limit(context: ProbeContext) -> float | None:
    """Tightest quota in CPUs (1.5 stands for one and a half); None where there is none."""
    version, directories = _groups(context, "cpu")
    limits = []
    for directory in directories:
        if version == "v1":
            quota = parse_int(read_text(directory / "cpu.cfs_quota_us"))
            period = parse_int(read_text(directory / "cpu.cfs_period_us"))
        else:
            fields = (read_text(directory / "cpu.max") or "").split()
            quota, period = (parse_int(fields[0]), parse_int(fields[1])) if len(fields) == 2 else (None, None)
        if quota is not None and period is not None and quota > 0 and period > 0:
            limits.append(quota / period)
    return min(limits, default=None)


def _groups(context: ProbeContext, controller: str) -> tuple[str | None, list[Path]]:
    """Version of a controller, and the directories of the process's group and those above it that can be seen."""
    root = context.sys / "fs" / "cgroup"
    unified: str | None = None
    for line in (read_text(context.proc / "self" / "cgroup") or "").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controller in controllers.split(","):
            mounts = [root / controller, root / controllers]
            return "v1", _chain(next((m for m in mounts if m.is_dir()), mounts[0]), path)
        if number == "0" and not controllers:
            unified = path
    if unified is None:
        return None, []
    mount = root / "unified" if (root / "unified").is_dir() else root
    # In a hybrid set-up version 2 may hold no controller at all.
    offered = read_text(mount / "cgroup.controllers")
    if offered is not None and controller not in offered.split():
        return None, []
    return "v2", _chain(mount, unified)


def _chain(mount: Path, path: str) -> list[Path]:
    """Existing directories from the mount down to the group.

    In a container without a cgroup namespace the path is the host's while the mount shows the container's group: then
    only the mount exists.
    """
    names = [name for name in path.split("/") if name]
    if ".." in names:
        names = []
    directories = [mount]
    for name in names:
        directories.append(directories[-1] / name)
    return [directory for directory in directories if directory.is_dir()]
