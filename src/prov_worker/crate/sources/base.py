"""What a source of a crate is, and how its files are read: all that is wrong is a :class:`CrateError`."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Protocol

from prov_worker.crate import bounds
from prov_worker.errors import CrateError
from prov_worker.files import sha256_of

#: Most files of a crate are smaller: to have a buffer made for the bound of each costs more than to read it.
_COMMON_BYTES = 64 << 10


class Source(Protocol):
    """One crate, wherever it lies. A zip file stays open as long as its sources are used."""

    @property
    def path(self) -> Path:
        """Path of the directory or of the zip file."""

    @property
    def where(self) -> str:
        """What errors name: the path, and the place in a zip of several crates as in ``many.zip!task.crate``."""

    @property
    def location(self) -> str:
        """Absolute path of the crate, which tells it from all others; in a zip, ``/path/many.zip!task.crate/``."""

    @property
    def key(self) -> str:
        """Name of the crate without suffix: ``<task_id>`` or ``<task_id>.attempt-N``."""

    def names(self) -> Iterator[str]:
        """Yield the relative path of everything that is not a directory, whatever it is."""

    def files(self) -> Iterator[tuple[str, int]]:
        """Yield relative path and size of every file.

        Raises:
            CrateError: there is something in it that is not a regular file.
        """

    def open(self, relative: str) -> IO[bytes]:
        """Open a file of the crate.

        Raises:
            CrateError: it cannot be opened.
        """

    def size(self, relative: str) -> int:
        """Return the size of a file of the crate.

        Raises:
            CrateError: there is no such file.
        """

    def signature(self) -> tuple[int, int]:
        """Return size and modification time (ns) of what holds the metadata: unchanged means not changed."""


class _Reading:
    """Turn whatever a damaged file or zip provokes into a CrateError that names the file."""

    __slots__ = ("_relative", "_source")

    def __init__(self, source: Source, relative: str) -> None:
        self._source = source
        self._relative = relative

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if not isinstance(error, Exception) or isinstance(error, CrateError):
            return
        where = f"{self._source.where}/{self._relative}"
        if isinstance(error, OSError):
            raise CrateError(where, f"cannot be read: {error.strerror or error}") from None
        if isinstance(error, (zipfile.BadZipFile, EOFError, RuntimeError, NotImplementedError)):
            raise CrateError(where, f"cannot be read: {error}") from None
        # zlib.error, lzma.LZMAError and more
        raise CrateError(where, f"cannot be unpacked: {error}") from None


def read(source: Source, relative: str, limit: int = bounds.MAX_METADATA_BYTES) -> bytes:
    """Return the content of a file of a crate.

    Raises:
        CrateError: missing, unreadable, or larger than ``limit`` bytes.
    """
    with _Reading(source, relative), source.open(relative) as stream:
        data = stream.read(min(_COMMON_BYTES, limit + 1))
        if len(data) == _COMMON_BYTES:
            if source.size(relative) > limit:  # a hole of any size is not read up to the bound
                raise CrateError(f"{source.where}/{relative}", f"larger than {limit:,} bytes")
            data += stream.read(max(0, limit + 1 - len(data)))
    if len(data) > limit:
        raise CrateError(f"{source.where}/{relative}", f"larger than {limit:,} bytes")
    return data


def read_end(source: Source, relative: str, count: int) -> tuple[bytes, bool]:
    """Return the last bytes of a file of a crate, at most ``count``, and whether these are all of it.

    Raises:
        CrateError: missing or unreadable.
    """
    with _Reading(source, relative), source.open(relative) as stream:
        start = max(0, stream.seek(0, os.SEEK_END) - count)
        stream.seek(start)
        return stream.read(count), not start


def digest(source: Source, relative: str) -> tuple[str, int]:
    """Return hex sha256 and size of a file of a crate.

    Raises:
        CrateError: missing or unreadable.
    """
    with _Reading(source, relative):
        of_its_own = getattr(source, "digest", None)
        if of_its_own is not None:
            result: tuple[str, int] = of_its_own(relative)
            return result
        with source.open(relative) as stream:
            return sha256_of(stream), stream.tell()
