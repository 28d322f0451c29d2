"""Where step crates come from: directories and zip files, read without trusting what they say.

A zip may come from anywhere: names that lead outside, links, encryption, names that occur twice and contents that are
far larger than the file are refused before anything of them is written.
"""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from prov_worker.crate import vocabulary as v
from prov_worker.errors import CrateError

#: Metadata of a step is some 20 kB; what is larger than this is no step's, and is not read into memory.
MAX_METADATA_BYTES = 64 << 20
#: A large file that unpacks to more than this many times its packed size is a bomb; honest data stay far below.
MAX_RATIO = 500
_RATIO_FROM_BYTES = 64 << 20


class Source(Protocol):
    """One step crate, wherever it lies."""

    @property
    def path(self) -> Path:
        """Path of the directory or of the zip file."""

    @property
    def where(self) -> str:
        """What errors name: the path, and the place in a zip of several crates as in ``many.zip!task.crate``."""

    @property
    def name(self) -> str:
        """Name of the crate without suffix: ``<task_id>`` or ``<task_id>.attempt-N``."""

    def files(self) -> Iterator[tuple[str, int]]:
        """Relative path and size of every file.

        Raises:
            CrateError: there is something in it that is no plain file.
        """

    def open(self, relative: str) -> IO[bytes]:
        """Open a file of the crate.

        Raises:
            CrateError: it cannot be opened.
        """

    def signature(self) -> tuple[int, int]:
        """Size and modification time (ns) of what holds the metadata: unchanged means not changed."""


def read(source: Source, relative: str, limit: int = MAX_METADATA_BYTES) -> bytes:
    """A whole file of a crate.

    Raises:
        CrateError: missing, unreadable, or larger than ``limit`` bytes.
    """
    try:
        with source.open(relative) as stream:
            data = stream.read(limit + 1)
    except CrateError:
        raise
    except (OSError, zipfile.BadZipFile, EOFError, RuntimeError, NotImplementedError) as error:
        raise CrateError(source.where, f"cannot be read: {error}", relative) from None
    except Exception as error:
        # zlib.error, lzma.LZMAError and whatever else a damaged zip provokes
        raise CrateError(source.where, f"cannot be unpacked: {error}", relative) from None
    if len(data) > limit:
        raise CrateError(source.where, f"larger than {limit} bytes", relative)
    return data


@dataclass(frozen=True, slots=True)
class DirectorySource:
    """A step crate in a directory."""

    path: Path

    @property
    def where(self) -> str:
        """See :class:`Source`."""
        return str(self.path)

    @property
    def name(self) -> str:
        """See :class:`Source`."""
        return v.key_of(self.path.name)

    def files(self) -> Iterator[tuple[str, int]]:
        """See :class:`Source`. Links are refused: they could point anywhere."""
        yield from _walk(str(self.path), "")

    def open(self, relative: str) -> IO[bytes]:
        """See :class:`Source`."""
        path = self.path / relative
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            what = "no such file" if relative != v.METADATA_FILE else f"no crate: {v.METADATA_FILE} is missing"
            raise CrateError(path, what) from None
        except OSError as error:
            raise CrateError(path, f"cannot be read: {error.strerror or error}") from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)  # a pipe would make the reader wait for ever
            raise CrateError(path, "no plain file")
        return os.fdopen(descriptor, "rb")

    def signature(self) -> tuple[int, int]:
        """See :class:`Source`."""
        try:
            status = os.lstat(self.path / v.METADATA_FILE)
        except OSError:
            return (-1, -1)
        return status.st_size, status.st_mtime_ns


def _walk(top: str, prefix: str) -> Iterator[tuple[str, int]]:
    try:
        with os.scandir(top) as entries:
            found = sorted(entries, key=lambda one: one.name)
    except OSError as error:
        raise CrateError(top, f"cannot be listed: {error.strerror or error}") from None
    for entry in found:
        relative = prefix + entry.name
        if entry.is_symlink():
            raise CrateError(entry.path, "a link; a crate holds plain files")
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, relative + "/")
        elif entry.is_file(follow_symlinks=False):
            yield relative, entry.stat(follow_symlinks=False).st_size
        else:
            raise CrateError(entry.path, "no plain file")


class ZipSource:
    """A step crate in a zip file, at its top or in a directory of it.

    Args:
        path: the zip file.
        archive: the same, opened.
        prefix: directory of the crate in it, with its slash; empty for the top.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile, prefix: str) -> None:
        self._path = path
        self._archive = archive
        self._prefix = prefix

    @property
    def path(self) -> Path:
        """See :class:`Source`."""
        return self._path

    @property
    def where(self) -> str:
        """See :class:`Source`."""
        return f"{self._path}!{self._prefix.rstrip('/')}" if self._prefix else str(self._path)

    @property
    def name(self) -> str:
        """See :class:`Source`."""
        return v.key_of(self._prefix.rstrip("/").rsplit("/", 1)[-1] or self._path.name)

    @property
    def prefix(self) -> str:
        """Directory of the crate in the zip, with its slash."""
        return self._prefix

    def files(self) -> Iterator[tuple[str, int]]:
        """See :class:`Source`."""
        for info in self._archive.infolist():
            if info.filename.startswith(self._prefix) and not info.is_dir():
                yield info.filename[len(self._prefix) :], info.file_size

    def open(self, relative: str) -> IO[bytes]:
        """See :class:`Source`."""
        try:
            return self._archive.open(self._prefix + relative)
        except KeyError:
            raise CrateError(self._path, f"{self._prefix}{relative}: no such file in the zip") from None
        except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
            raise CrateError(self._path, f"{self._prefix}{relative}: cannot be read: {error}") from None

    def signature(self) -> tuple[int, int]:
        """See :class:`Source`."""
        status = self._path.stat()
        return status.st_size, status.st_mtime_ns


def check_names(path: Path, archive: zipfile.ZipFile) -> None:
    """Refuse a zip whose members could do harm.

    Raises:
        CrateError: names the zip and the member.
    """
    seen: set[str] = set()
    for info in archive.infolist():
        name = info.filename
        if info.flag_bits & 0x1:
            raise CrateError(path, "encrypted", name)
        if name.startswith(("/", "\\")) or "\\" in name or "\0" in name or (len(name) > 1 and name[1] == ":"):
            raise CrateError(path, "an absolute or foreign path; refused", repr(name))
        if any(part in ("..", ".") for part in name.split("/")):
            raise CrateError(path, "a path that leads outside; refused", repr(name))
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise CrateError(path, "a link or device; a crate holds plain files", name)
        if name.rstrip("/") in seen:
            raise CrateError(path, "twice in the zip", name)
        seen.add(name.rstrip("/"))
        if info.file_size > _RATIO_FROM_BYTES and info.file_size > MAX_RATIO * max(info.compress_size, 1):
            raise CrateError(path, f"unpacks to {info.file_size} bytes from {info.compress_size}; refused", name)


def zip_sources(path: Path) -> Iterator[ZipSource]:
    """The step crates in a zip file, sorted by name; the file is open while they are given.

    Raises:
        CrateError: no zip, damaged, dangerous, or without a crate.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise CrateError(path, f"no readable zip file: {error}") from None
    with archive:
        check_names(path, archive)
        tops = sorted(
            info.filename.removesuffix(v.METADATA_FILE)
            for info in archive.infolist()
            if info.filename == v.METADATA_FILE or info.filename.endswith("/" + v.METADATA_FILE)
        )
        if "" in tops and not any(top.startswith(v.STEPS_DIR + "/") for top in tops):
            tops = [""]
        if not tops:
            raise CrateError(path, f"no crate: {v.METADATA_FILE} is missing in the zip")
        runs = {top for top in tops if any(other.startswith(f"{top}{v.STEPS_DIR}/") for other in tops)}
        for top in tops:
            if top not in runs:
                yield ZipSource(path, archive, top)


def is_run(path: Path) -> bool:
    """Whether a directory was assembled as a run crate."""
    return (path / v.STEPS_DIR).is_dir() and (path / v.METADATA_FILE).is_file()


def candidates(path: Path) -> Iterator[Path]:
    """Paths that may be step crates, at or directly in a directory, sorted by name.

    These are: the directory itself where it holds crate metadata; else everything in it that is named ``*.crate`` or
    ``*.zip``, whatever it is, and every directory that holds crate metadata; of a run crate, those in ``steps/``.
    Hidden ones, which are crates in the making, never, nor run crates in a directory of step crates.

    Raises:
        CrateError: no such path, or it cannot be listed.
    """
    if path.is_file():
        yield path
        return
    if (path / v.METADATA_FILE).is_file() and not is_run(path):
        yield path
        return
    if is_run(path) or (path.name.endswith(v.CRATE_SUFFIX) and (path / v.STEPS_DIR).is_dir()):
        path = path / v.STEPS_DIR
    try:
        with os.scandir(path) as entries:
            found = sorted((one.name, one.is_dir()) for one in entries if not one.name.startswith("."))
    except OSError as error:
        raise CrateError(path, f"cannot be listed: {error.strerror or error}") from None
    for name, is_directory in found:
        inside = path / name
        if is_directory:
            if (name.endswith(v.CRATE_SUFFIX) or (inside / v.METADATA_FILE).is_file()) and not is_run(inside):
                yield inside
        elif name.endswith((v.ZIP_SUFFIX, v.CRATE_SUFFIX)):
            yield inside


def sources_at(candidate: Path) -> Iterator[Source]:
    """The step crates at one path that :func:`candidates` gave.

    Raises:
        CrateError: the path is a zip that cannot be taken, a link to nowhere, no plain file, or its name is no text.
    """
    try:
        candidate.name.encode()
    except UnicodeEncodeError:
        raise CrateError(candidate, "a name that is no text in UTF-8") from None
    if candidate.is_dir():
        yield DirectorySource(candidate)
        return
    if not candidate.exists():
        what = "a link that leads nowhere" if candidate.is_symlink() else "no such crate"
        raise CrateError(candidate, what)
    if not candidate.is_file():
        raise CrateError(candidate, "no plain file")  # a pipe would make the reader wait for ever
    if candidate.name.endswith(v.CRATE_SUFFIX) and not zipfile.is_zipfile(candidate):
        raise CrateError(candidate, "a file; a crate is a directory or a zip")
    yield from zip_sources(candidate)
