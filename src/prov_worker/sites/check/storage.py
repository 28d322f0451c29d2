"""Directories: there, writable by a real write, with space, on a file system that fits, and closed to others."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from prov_worker.finding import Finding, failed, passed, warned
from prov_worker.probes.base import ProbeContext
from prov_worker.probes.mounts import Mount, holding, read_mounts
from prov_worker.sites.check import CHECKS
from prov_worker.sites.check.context import Subject

_SHARED = {
    "lustre",
    "gpfs",
    "nfs",
    "nfs4",
    "beegfs",
    "ceph",
    "cephfs",
    "cifs",
    "smb3",
    "panfs",
    "pvfs2",
    "wekafs",
    "dfuse",
    "fuse.dfuse",
}
_VOLATILE = {"tmpfs", "ramfs", "devtmpfs"}
_CLEANED = ("/tmp", "/var/tmp", "/dev/shm", "/run")  # noqa: S108 - nothing is written there: it is advised against
_LEAST_BYTES = 1 << 30
_LEAST_FILES = 10_000


def check(subject: Subject) -> Iterator[Finding]:
    """Yield the run directory, that of the crates, and the mount points."""
    mounts = read_mounts(ProbeContext())
    yield _directory("run directory", subject.user_dir, mounts, subject, "--user-dir")
    yield _directory("crate_dir", subject.crate_dir, mounts, subject, "--set crate_dir=")
    if "submit_dir" in subject.values:
        yield _submit_dir(subject.values["submit_dir"])
    for point in subject.values["mount_points"]:
        yield _mount_point(Path(point), mounts, subject)
    yield from _rights(subject)


def _directory(line: str, path: Path, mounts: list[Mount], subject: Subject, option: str) -> Finding:
    existing = path
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    problem = _try(existing)
    if problem is not None:
        where = str(path) if existing == path else f"{path} cannot be made: {existing}"
        return failed(line, f"{where}: {problem}", f"{option} another directory, or repair its rights")
    space = os.statvfs(existing)
    free, files = space.f_bavail * space.f_frsize, space.f_favail
    mount = holding(str(existing.resolve()), mounts)
    kind = mount.type if mount is not None else "unknown file system"
    state = f"{path}{'' if existing == path else ', which will be made'}; {kind}, {free / 2**30:.1f} GiB free"
    if free < _LEAST_BYTES:
        return warned(line, state, f"make space, or {option} another directory")
    # Btrfs and some network file systems count no files: 0 of 0.
    if space.f_files and files < _LEAST_FILES:
        return warned(
            line, f"{state}; {files} more files", f"make space, or {option} another directory: a crate is 6 files"
        )
    if kind in _VOLATILE:
        remedy = f"{option} a directory on a file system that stays"
        return (failed if subject.scheduler else warned)(line, f"{state}; it lives in memory, and is lost", remedy)
    if str(path.resolve()).startswith(tuple(f"{directory}/" for directory in _CLEANED)):
        observation = f"{state}; systems clean up there"
        return warned(line, observation, f"{option} a directory that stays")
    if subject.scheduler and kind not in _SHARED:
        observation = f"{state}; not known as shared with compute nodes"
        return warned(line, observation, f"{option} a directory on a shared file system, if this is none")
    return passed(line, state)


def _submit_dir(given: str) -> Finding:
    """Judge the working directory: user endpoints are started in it, and submit from it."""
    line = "submit_dir"
    remedy = "--set submit_dir= the project's directory"
    if not given:  # of an installation from before it had to be said
        return failed(line, "none is named, and jobs from home are not allowed", remedy)
    path = Path(given)
    if not path.is_dir() or not os.access(path, os.R_OK | os.X_OK):
        return failed(line, f"{path}: {'closed to you' if path.is_dir() else 'no directory of this host'}", remedy)
    if path.resolve().is_relative_to(Path.home().resolve()):
        return failed(line, f"{path} is in your home, from which jobs are not allowed", remedy)
    return passed(line, str(path))


def _mount_point(path: Path, mounts: list[Mount], subject: Subject) -> Finding:
    line = "mount point"
    if not path.is_dir():
        observation = f"{path}: not here"
        if subject.scheduler:
            remedy = "leave it out unless compute nodes have it; a container does not start without it"
            return warned(line, observation, remedy)
        return failed(line, observation, "--set mount_points= those that are here")
    mount = holding(str(path.resolve()), mounts)
    kind = mount.type if mount is not None else "unknown file system"
    problem = _try(path)
    if problem is not None:
        remedy = "nothing, if it is only to be recorded; else name a directory of yours on it"
        return warned(line, f"{path}: {kind}; {problem}", remedy)
    return passed(line, f"{path}: {kind}, writable")


def _try(directory: Path) -> str | None:
    """Write, sync, rename and remove a file; what went wrong, or None."""
    descriptor, made = -1, None
    try:
        descriptor, made = tempfile.mkstemp(prefix=".prov-worker-preflight.", dir=directory)
        os.write(descriptor, b"preflight\n")
        os.fsync(descriptor)
        os.replace(made, f"{made}.renamed")
        made = f"{made}.renamed"
    except OSError as error:
        if error.errno == errno.EDQUOT:
            return "your quota is used up"
        return f"cannot be written: {error.strerror}"
    finally:
        if descriptor >= 0:
            os.close(descriptor)
        if made is not None:
            os.unlink(made)
    return None


def _rights(subject: Subject) -> Iterator[Finding]:
    """Judge Globus Compute's directory, which holds tokens."""
    line = "rights"
    for path in (Path.home(), subject.user_dir, *([subject.user_dir / subject.name] if subject.name else [])):
        try:
            status = path.stat()
        except OSError:
            continue
        mode = stat.S_IMODE(status.st_mode)
        if status.st_uid != os.getuid():
            yield failed(line, f"{path} belongs to another user", "--user-dir a directory of yours")
            return
        if mode & 0o022:
            # Everybody's group is often a person's own.
            verdict = failed if mode & 0o002 else warned
            yield verdict(line, f"{path} can be changed by others (mode {mode:04o})", f"chmod go-w {path}")
            return
        if path != Path.home() and mode & 0o077:
            yield warned(line, f"{path}, with your tokens, is open to others (mode {mode:04o})", f"chmod 700 {path}")
            return
    yield passed(line, "nobody else can change what starts the endpoint, or read its tokens")


CHECKS.add("storage", check, rank=70)
