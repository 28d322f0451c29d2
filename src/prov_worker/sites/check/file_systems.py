"""The file systems that a job asks for, at sites whose jobs have to name them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from prov_worker.finding import Finding, passed, warned
from prov_worker.probes.base import ProbeContext
from prov_worker.probes.mounts import holding, read_mounts
from prov_worker.sites.check import CHECKS
from prov_worker.sites.check.context import Subject

_LINE = "file systems"


def check(subject: Subject) -> Iterator[Finding]:
    """Yield whether they are here, and whether the endpoint's directories are on one of them."""
    named = subject.values.get("filesystems")
    if not named:
        return
    wanted = named.split(":")
    mounts = read_mounts(ProbeContext())
    missing = [name for name in wanted if not any(name in Path(mount.point).parts for mount in mounts)]
    missing = [name for name in missing if not Path("/", name).exists()]
    if missing:
        problem = f"{', '.join(missing)}: no mount of that name here (filesystems={named})"
        yield warned(
            _LINE, problem, "check the spelling: the scheduler refuses or holds jobs that ask for an unknown one"
        )
    # What lies on a file system that the job has not asked for may be away while it runs.
    for label, path in (("crate_dir", subject.crate_dir), ("run directory", subject.user_dir)):
        mount = holding(str(path.resolve()), mounts)
        parts = {*path.parts, *path.resolve().parts, *(Path(mount.point).parts if mount is not None else ())}
        if not parts & set(wanted):
            remedy = "--set filesystems= so that its file system is named, or choose another directory"
            yield warned(_LINE, f"{label} {path} is on none of {named}", remedy)
            return
    if not missing:
        yield passed(_LINE, named)


CHECKS.add("file_systems", check, rank=60)
