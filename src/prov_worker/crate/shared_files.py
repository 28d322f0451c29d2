"""Files that are the same in many crates of a directory: names of one inode, which costs no space a second time.

The hardware report of a node and the source of a function are linked to those of the crate before (link(2)). A file
that was changed since then is not: its size and its time of modification tell.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from prov_worker.crate import vocabulary as v
from prov_worker.crate.metadata import CrateContent

#: The file system has no links, or gives none to this user.
_NEVER = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV, errno.EACCES)
#: Sources that are remembered.
_MOST = 64


class SharedFiles:
    """Remembers where the files of a writer's last crates are."""

    def __init__(self) -> None:
        #: By path in the crate and sha256: path, size and modification time (ns).
        self._places: dict[tuple[str, str], tuple[str, int, int]] = {}
        self._works = True

    def link(self, file: CrateContent, target: str) -> bool:
        """Give the same file of an earlier crate another name; return whether that was possible.

        Args:
            file: of the crate in the making.
            target: its path.
        """
        place = self._places.get((file.path, file.sha256)) if self._works and file.path in v.SHARED_FILES else None
        if place is None:
            return False
        path, size, time_ns = place
        try:
            os.link(path, target, follow_symlinks=False)
            status = os.lstat(target)
        except OSError as error:
            self._works = error.errno not in _NEVER
            del self._places[file.path, file.sha256]  # it is gone, or has as many names as it may have
            return False
        if (status.st_size, status.st_mtime_ns) == (size, time_ns):
            return True
        os.unlink(target)
        del self._places[file.path, file.sha256]
        return False

    def note(self, crate: Path, files: list[CrateContent]) -> None:
        """Remember where the files of a published crate are."""
        for file in files:
            key = file.path, file.sha256
            if file.path not in v.SHARED_FILES or key in self._places or not self._works:
                continue
            if len(self._places) >= _MOST:
                self._places.clear()
            path = f"{crate}/{file.path}"
            try:
                status = os.lstat(path)
            except OSError:
                continue  # taken away at once
            if status.st_size == len(file.data):
                self._places[key] = (path, status.st_size, status.st_mtime_ns)
