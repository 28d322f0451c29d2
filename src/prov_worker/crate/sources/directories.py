"""Crates in directories, read on ways without links."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from prov_worker import open_flags
from prov_worker.crate import vocabulary as v
from prov_worker.errors import CrateError

#: Does not wait for what is not a file, such as a pipe.
_TO_READ = os.O_RDONLY | open_flags.NONBLOCK | open_flags.CLOEXEC


@dataclass(frozen=True, slots=True)
class DirectorySource:
    """A crate in a directory.

    Attributes:
        path: the directory.
        follow: read files that links lead to; else links are refused, because they could lead anywhere.
    """

    path: Path
    follow: bool = False

    @property
    def where(self) -> str:
        """See :class:`Source`."""
        return str(self.path)

    @property
    def location(self) -> str:
        """See :class:`Source`."""
        return str(self.path.absolute())

    @property
    def key(self) -> str:
        """See :class:`Source`."""
        return v.key_of(self.path.name)

    def names(self) -> Iterator[str]:
        """See :class:`Source`."""
        for parent, _, names in os.walk(self.path):
            for name in names:
                yield os.path.relpath(os.path.join(parent, name), self.path)

    def files(self) -> Iterator[tuple[str, int]]:
        """See :class:`Source`. Links are refused: they could point anywhere."""
        yield from _walk(str(self.path), "")

    def open(self, relative: str) -> IO[bytes]:
        """See :class:`Source`. Does not wait for what is not a file, such as a pipe."""
        path = f"{self.path}/{relative}"
        try:
            descriptor = os.open(path, _TO_READ) if self.follow else _open_below(str(self.path), relative)
        except FileNotFoundError:
            if relative != v.METADATA_FILE:
                raise CrateError(path, "no such file") from None
            problem = f"not a crate: {relative} is missing" if self.path.is_dir() else "no such directory"
            raise CrateError(self.path, problem) from None
        except NotADirectoryError:
            raise CrateError(self.path, "is a file; expected a crate directory or a zip") from None
        except OSError as error:
            raise CrateError(path, f"cannot be read: {error.strerror or error}") from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise CrateError(path, "not a regular file")
        return os.fdopen(descriptor, "rb")

    def size(self, relative: str) -> int:
        """See :class:`Source`."""
        try:
            return os.stat(f"{self.path}/{relative}", follow_symlinks=self.follow).st_size
        except FileNotFoundError:
            raise CrateError(f"{self.path}/{relative}", "no such file") from None
        except OSError as error:
            raise CrateError(f"{self.path}/{relative}", f"cannot be read: {error.strerror or error}") from None

    def signature(self) -> tuple[int, int]:
        """See :class:`Source`."""
        try:
            status = os.lstat(self.path / v.METADATA_FILE)
        except OSError:
            return (-1, -1)
        return status.st_size, status.st_mtime_ns


def _open_below(top: str, relative: str) -> int:
    """Open a file below a directory, on a way without links; return its descriptor.

    Raises:
        OSError: there is no such file, or a link.
    """
    *above, name = relative.split("/")
    if ".." in (*above, name):
        raise OSError(errno.ELOOP, "a path that leads outside")
    if os.open not in os.supports_dir_fd:  # Windows
        return _open_by_name(top, [*above, name])
    descriptors: list[int] = []
    try:
        if not above:
            return os.open(f"{top}/{name}", _TO_READ | open_flags.NOFOLLOW)
        descriptors.append(os.open(top, open_flags.PATH | open_flags.DIRECTORY | open_flags.CLOEXEC))
        for part in above:
            flags = open_flags.PATH | open_flags.DIRECTORY | open_flags.NOFOLLOW | open_flags.CLOEXEC
            descriptors.append(os.open(part or ".", flags, dir_fd=descriptors[-1]))
        return os.open(name, _TO_READ | open_flags.NOFOLLOW, dir_fd=descriptors[-1])
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _open_by_name(top: str, parts: list[str]) -> int:
    path = top
    for part in parts:
        path = f"{path}/{part}"
        if os.path.islink(path):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return os.open(path, _TO_READ)


def _walk(top: str, prefix: str) -> Iterator[tuple[str, int]]:
    try:
        with os.scandir(top) as entries:
            inside = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise CrateError(top, f"cannot be listed: {error.strerror or error}") from None
    for entry in inside:
        relative = prefix + entry.name
        if entry.is_symlink():
            raise CrateError(entry.path, "a link; a crate holds regular files")
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, relative + "/")
        elif entry.is_file(follow_symlinks=False):
            yield relative, entry.stat(follow_symlinks=False).st_size
        else:
            raise CrateError(entry.path, "not a regular file")


def find_crates(directory: Path | str) -> Iterator[Path]:
    """Yield the directories of step crates directly in a directory, sorted by name.

    These are directories ``*.crate``, and others that hold crate metadata (a collector may drop the suffix). Hidden
    directories, which are crates in the making, are never given.

    Raises:
        CrateError: the directory cannot be listed.
    """
    directory = Path(directory)
    try:
        with os.scandir(directory) as entries:
            names = sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())
    except OSError as error:
        raise CrateError(directory, f"cannot be listed: {error.strerror or error}") from None
    for name in names:
        path = directory / name
        if name.endswith(v.CRATE_SUFFIX) or (path / v.METADATA_FILE).is_file():
            yield path
