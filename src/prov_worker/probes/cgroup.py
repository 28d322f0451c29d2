"""Limits that a control group sets on the process: a job's or a container's share of the node.

Version 1, version 2 and the hybrid of both: cgroups(7), and the kernel's ``cgroup-v1/memory.rst``, ``cgroup-v2.rst``.
A limit is that of a group: not what is free in it, and not what a scheduler granted without a group.
"""

from __future__ import annotations

from pathlib import Path

from prov_worker.probes.base import ProbeContext
from prov_worker.probes.mounts import read_mounts
from prov_worker.probes.read_files import parse_int, read_text

# Version 1 has no word for "unlimited": it shows the largest multiple of a page in 63 bits.
_UNLIMITED = 1 << 62


def memory_limit(context: ProbeContext) -> tuple[str | None, int | None]:
    """Return version that holds the memory controller (``v1``, ``v2``, None) and the tightest limit in bytes, if any.

    A limit binds everything below it, so the process's group and all groups above it are asked: batch systems set
    the limit on the job, a level or two above. In version 1 a group without ``memory.use_hierarchy`` binds itself alone
    (cgroup-v1/memory.rst, section 6).
    """
    version, directories = _groups(context, "memory")
    file = "memory.limit_in_bytes" if version == "v1" else "memory.max"
    own = directories[-1:]
    binding = [d for d in directories if d in own or read_text(d / "memory.use_hierarchy") != "0"]
    limits = [limit for limit in (parse_int(read_text(d / file)) for d in binding) if limit is not None]
    return version, min((limit for limit in limits if 0 <= limit < _UNLIMITED), default=None)


def cpu_limit(context: ProbeContext) -> float | None:
    """Return tightest quota in CPUs (1.5 stands for one and a half); None if there is none."""
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


def is_gone(context: ProbeContext) -> bool:
    """Return whether the groups of another process were removed, with their limits: its job is over.

    A group with the limits of one that is gone would be another.
    """
    own = read_text(context.proc / "self" / "cgroup")
    noted = context.process.get("cgroup")
    if noted is None or noted.strip() == own:
        return False
    for controller in ("memory", "cpu"):
        directories = _groups(context, controller, existing=False)[1]
        if directories and not directories[-1].is_dir():
            return True
    return False


def _groups(context: ProbeContext, controller: str, existing: bool = True) -> tuple[str | None, list[Path]]:
    """Return a controller's version, and the directories of the process's group and those above that can be seen."""
    unified: str | None = None
    text = context.process.get("cgroup")
    if text is None:
        text = read_text(context.proc / "self" / "cgroup") or ""
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controller in controllers.split(","):
            return "v1", _seen(_mounts_v1(context, controllers.split(",")), path, existing)
        if number == "0" and not controllers:
            unified = path
    if unified is None:
        return None, []
    mounts = _mounts_v2(context)
    # In a hybrid set-up version 2 may hold no controller at all.
    for point, _ in mounts:
        offered = read_text(point / "cgroup.controllers")
        if offered is not None and controller not in offered.split():
            return None, []
    return "v2", _seen(mounts, unified, existing)


#: Where a hierarchy is mounted, and which of its groups is seen there.
_View = tuple[Path, str]


def _mounts_v1(context: ProbeContext, controllers: list[str]) -> list[_View]:
    """Return views of a hierarchy of version 1: wherever it is mounted, in whatever order its controllers are named."""
    views = [
        (_path(context, mount.point), mount.root)
        for mount in read_mounts(context)
        if mount.type == "cgroup" and set(controllers) <= set(mount.options.split(","))
    ]
    if views:
        return views
    root = context.sys / "fs" / "cgroup"
    try:
        entries = sorted(root.iterdir())
    except OSError:
        return []
    named = [entry for entry in entries if set(entry.name.split(",")) == set(controllers)]
    return [(entry, "/") for entry in named or entries if set(entry.name.split(",")) & set(controllers)]


def _mounts_v2(context: ProbeContext) -> list[_View]:
    views = [(_path(context, mount.point), mount.root) for mount in read_mounts(context) if mount.type == "cgroup2"]
    root = context.sys / "fs" / "cgroup"
    return views or [(root / "unified" if (root / "unified").is_dir() else root, "/")]


def _path(context: ProbeContext, point: str) -> Path:
    """Return where a mount point of the described node is."""
    if point == "/sys" or point.startswith("/sys/"):
        return context.sys / point[len("/sys/") :]
    return context.etc.parent / point.lstrip("/")


def _seen(views: list[_View], path: str, existing: bool) -> list[Path]:
    """Return directories from a mount down to the group: of several mounts, through the one that shows most of them.

    The mount stands for the group that its root names, and the rest of the path is below it. In a container without a
    cgroup name space both are the host's (mountinfo's fourth field, proc_pid_mountinfo(5)). With one, ``..`` stands for
    a group above the name space's root, whose name cannot be known (cgroup_namespaces(7)).
    """
    chains = [_chain(point, root, path) for point, root in views]
    if existing:
        chains = [[directory for directory in chain if directory.is_dir()] for chain in chains]
    return max(chains, key=len, default=[])


def _chain(point: Path, root: str, path: str) -> list[Path]:
    above, names = ([name for name in text.split("/") if name] for text in (root, path))
    if names[: len(above)] == above:
        names = names[len(above) :]
    elif set(above) != {".."}:
        return []  # of groups that are not above the process
    else:
        names = []
    if ".." in names:
        names = []
    directories = [point]
    for name in names:
        directories.append(directories[-1] / name)
    return directories
