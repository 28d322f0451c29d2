"""The file systems that hold the mount points of the settings: what ``df`` tells of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from prov_worker.probes.base import NoData, ProbeContext, ProbeError
from prov_worker.probes.mounts import Mount, holding, read_mounts
from prov_worker.probes.timeouts import Pending, TimeLimitError
from prov_worker.settings import PROBES


@dataclass(frozen=True)
class StorageProbe:
    """Size and use of each mount point.

    Data: ``mounts``, one entry for each path that was asked for, in order: ``mount_point``, ``present``, ``reason``
    (why it is not, or why its use is unknown), ``mounted_at`` (the mount that holds the path), ``device``, ``type``,
    ``options``, ``total_bytes``, ``used_bytes``, ``free_bytes`` (free for users without privileges, as ``df`` has it;
    not what a quota leaves), ``used_percent`` (likewise), ``inodes_total``, ``inodes_free``, ``read_only``; None if
    unknown. A path that is missing or does not answer is an entry, not an error.

    Attributes:
        mount_limit_s: seconds that one mount may take; a dead one (NFS, Lustre) costs no other one anything.
        statvfs: the system call, which hangs on a dead mount.
    """

    name: str = "storage"
    time_limit_s: float = 8.0
    mount_limit_s: float = 5.0
    statvfs: Callable[[str], os.statvfs_result] = field(default=os.statvfs, repr=False)

    def take(self, context: ProbeContext) -> dict[str, Any]:
        """See :class:`~prov_worker.probes.base.Probe`."""
        if not context.mount_points:
            raise NoData("no mount point was asked for")
        mounts = read_mounts(context)
        pending: list[tuple[str, Pending[dict[str, Any]] | ProbeError]] = []
        for point in context.mount_points:
            try:
                pending.append((point, Pending(_Look(self.statvfs, point, context), f"probe-storage-{point}")))
            except ProbeError as error:
                pending.append((point, error))
        return {"mounts": [self._entry(point, look, mounts) for point, look in pending]}

    def _entry(self, point: str, look: Pending[dict[str, Any]] | ProbeError, mounts: Sequence[Mount]) -> dict[str, Any]:
        try:
            if isinstance(look, ProbeError):
                raise look
            return look.result(self.mount_limit_s)
        except TimeLimitError:
            # What the table says needs no answer of the file system.
            return _entry(point, holding(point, mounts), reason=f"no answer within {self.mount_limit_s:g} s")
        except OSError as error:
            return _entry(point, None, reason=(error.strerror or str(error)).lower())
        except (ProbeError, ValueError) as error:
            return _entry(point, None, reason=str(error))


@dataclass(frozen=True)
class _Look:
    """Everything that may hang on one mount."""

    statvfs: Callable[[str], os.statvfs_result]
    point: str
    context: ProbeContext

    def __call__(self) -> dict[str, Any]:
        # The size first: it also mounts what is mounted on demand.
        size = self.statvfs(self.point)
        return _entry(self.point, holding(os.path.realpath(self.point), read_mounts(self.context)), size)


def _entry(
    point: str, mount: Mount | None, size: os.statvfs_result | None = None, reason: str | None = None
) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "mount_point": point,
        "present": size is not None,
        "reason": reason,
        "mounted_at": mount.point if mount else None,
        "device": mount.device if mount else None,
        "type": mount.type if mount else None,
        "options": mount.options if mount else None,
        "total_bytes": None,
        "used_bytes": None,
        "free_bytes": None,
        "used_percent": None,
        "inodes_total": None,
        "inodes_free": None,
        "read_only": "ro" in mount.options.split(",") if mount else None,
    }
    if size is not None:
        entry |= _sizes(size)
        entry["read_only"] = bool(size.f_flag & os.ST_RDONLY)
    return entry


def _sizes(size: os.statvfs_result) -> dict[str, Any]:
    """Return bytes and inodes as df(1) reckons them (coreutils, lib/fsusage.c), None if the file system does not tell.

    ``f_bavail`` is unsigned and wraps around if more is reserved than is free: nothing is left then. All bits set stand
    for "unknown", and so do more free than all, and no inodes at all (btrfs, vfat).
    """
    # POSIX counts blocks in f_frsize; some FUSE file systems leave it 0.
    block = size.f_frsize or size.f_bsize
    blocks, free, available = _count(size.f_blocks), _count(size.f_bfree), _signed(size.f_bavail)
    inodes, inodes_free = _count(size.f_files) or None, _count(size.f_ffree)
    free = None if blocks is None or free is None or free > blocks else max(free, 0)
    left = None if free is None or available > free else max(available, 0) * block
    used = None if blocks is None or free is None else (blocks - free) * block
    entry: dict[str, Any] = {
        "total_bytes": None if blocks is None else blocks * block,
        "used_bytes": used,
        "free_bytes": left,
        "used_percent": round(100 * used / (used + left), 1)
        if used is not None and left is not None and used + left
        else None,
        "inodes_total": inodes,
        "inodes_free": inodes_free if inodes and inodes_free is not None and 0 <= inodes_free <= inodes else None,
    }
    if blocks is not None and (used is None or left is None):
        entry["reason"] = "the file system names more free than all blocks"
    return entry


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _count(value: int) -> int | None:
    """Return a number of blocks or inodes; negative if it wrapped around, None if all bits are set."""
    return None if _signed(value) == -1 else _signed(value)


PROBES.add("storage", StorageProbe)
