"""Crates of zip files as directories, for programs that read directories alone."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType

from prov_worker.crate import vocabulary as v
from prov_worker.crate.sources import DirectorySource, Source, read
from prov_worker.errors import CrateError

#: Content that one :class:`Unpacked` writes to disk; files beyond it are there with their size, and empty.
MAX_BYTES = 1 << 30
#: Files that a crate may have: each costs an inode.
MAX_FILES = 200_000


class Unpacked:
    """A temporary directory of crates, bounded in size.

    What does not fit into the bound has its name and its size, but no content. So whoever asks whether a file is there
    gets the true answer; :func:`prov_worker.crate.check.check_crate` compares content in the zip itself.

    Args:
        max_bytes: bound of all content, metadata left out.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._left = max_bytes
        self._count = 0
        self._directory: Path | None = None

    def __enter__(self) -> Unpacked:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)

    def directory(self, source: Source) -> Path:
        """Return the directory of a crate: its own, or one to which a crate of a zip file is unpacked.

        Raises:
            CrateError: it cannot be unpacked; it is named.
        """
        if isinstance(source, DirectorySource):
            return source.path
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix="prov-worker-unpacked-"))
        self._count += 1
        target = self._directory / str(self._count) / v.crate_name(source.key)
        try:
            self._unpack(source, target)
        except OSError as error:
            raise CrateError(source.where, f"cannot be unpacked: {error.strerror or error}") from None
        return target

    def _unpack(self, source: Source, target: Path) -> None:
        target.mkdir(parents=True)
        made = {target}
        for number, (relative, size) in enumerate(source.files()):
            if number >= MAX_FILES:
                raise CrateError(source.where, f"more than {MAX_FILES:,} files are not unpacked")
            path = target / relative
            if path.parent not in made:
                path.parent.mkdir(parents=True, exist_ok=True)
                made.add(path.parent)
            if relative == v.METADATA_FILE:
                path.write_bytes(read(source, relative))
            elif size <= self._left:
                data = read(source, relative, size)
                self._left -= size
                path.write_bytes(data)
            else:
                path.touch()
                os.truncate(path, size)
