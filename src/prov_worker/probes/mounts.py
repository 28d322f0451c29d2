"""The table of mounts: which file system holds a path."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

from prov_worker.mountinfo import parse_mountinfo
from prov_worker.probes.base import ProbeContext
from prov_worker.probes.read_files import read_text

_SECRET = re.compile(r"pass|pwd|secret|token|cred|key|sig", re.IGNORECASE)
_MAX_OPTIONS_CHARS = 1000


@dataclass(frozen=True)
class Mount:
    """One line of the table, without what may be secret in it.

    Attributes:
        point: where it is mounted.
        device: source: a block device, ``server:/export``, ``10.0.0.1@o2ib:/eagle``.
        type: file system type, such as ``lustre``.
        options: of the mount and of the file system, separated by commas.
        root: the directory of the file system that is seen at the point: ``/``, or a path below it (a bind mount).
    """

    point: str
    device: str
    type: str
    options: str
    root: str = "/"


def read_mounts(context: ProbeContext) -> list[Mount]:
    """Return ``/proc/self/mountinfo`` in order (proc_pid_mountinfo(5)): later lines hide earlier ones of a point."""
    mounts = []
    for line in parse_mountinfo(read_text(context.proc / "self" / "mountinfo") or ""):
        options = ",".join(dict.fromkeys(f"{line.options},{line.super_options}".split(",")))
        mounts.append(
            Mount(
                point=line.point,
                device=re.sub(r"//[^/@]*@", "//", line.source),
                type=line.type,
                options=_redact(options)[:_MAX_OPTIONS_CHARS],
                root=line.root,
            )
        )
    return mounts


def holding(path: str, mounts: Iterable[Mount]) -> Mount | None:
    """Return the mount with the longest point above a path, by name alone: the file system is not touched."""
    path = os.path.normpath(path)
    deepest: Mount | None = None
    for mount in mounts:
        above = mount.point.rstrip("/")
        if (path == above or path.startswith(above + "/")) and (
            deepest is None or len(mount.point) >= len(deepest.point)
        ):
            deepest = mount
    return deepest


def _redact(options: str) -> str:
    """Leave out options: those of user-space and network file systems may carry or name credentials."""
    parts = []
    for option in options.split(","):
        name, equals, _ = option.partition("=")
        parts.append(f"{name}=***" if equals and _SECRET.search(name) else option)
    return ",".join(parts)
