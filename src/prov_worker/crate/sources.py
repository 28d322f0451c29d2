"""Where step crates are: directories and zip files, read without trusting what they say.

A zip may come from anywhere: names that lead outside, links, encryption, names that occur twice and contents that are
far larger than the file are refused before anything of them is read.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from prov_worker.crate import bounds
from prov_worker.crate import vocabulary as v
from prov_worker.errors import CrateError, blaming
from prov_worker.files import sha256_of

_DOT = re.compile(r"(?:\A|/)\.(?:/|\Z)")
#: Does not wait for what is no file, such as a pipe.
_TO_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
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
        """Yield the relative path of everything that is no directory, whatever it is."""

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


@contextmanager
def _reading(source: Source, relative: str) -> Iterator[None]:
    """Turn whatever a damaged file or zip provokes into a CrateError that names the file."""
    where = f"{source.where}/{relative}"
    try:
        yield
    except CrateError:
        raise
    except OSError as error:
        raise CrateError(where, f"cannot be read: {error.strerror or error}") from None
    except (zipfile.BadZipFile, EOFError, RuntimeError, NotImplementedError) as error:
        raise CrateError(where, f"cannot be read: {error}") from None
    except Exception as error:
        # zlib.error, lzma.LZMAError and more
        raise CrateError(where, f"cannot be unpacked: {error}") from None


def read(source: Source, relative: str, limit: int = bounds.MAX_METADATA_BYTES) -> bytes:
    """Return the content of a file of a crate.

    Raises:
        CrateError: missing, unreadable, or larger than ``limit`` bytes.
    """
    with _reading(source, relative), source.open(relative) as stream:
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
    with _reading(source, relative), source.open(relative) as stream:
        start = max(0, stream.seek(0, os.SEEK_END) - count)
        stream.seek(start)
        return stream.read(count), not start


def digest(source: Source, relative: str) -> tuple[str, int]:
    """Return hex sha256 and size of a file of a crate.

    Raises:
        CrateError: missing or unreadable.
    """
    with _reading(source, relative), source.open(relative) as stream:
        return sha256_of(stream), stream.tell()


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
        """See :class:`Source`. Does not wait for what is no file, such as a pipe."""
        path = f"{self.path}/{relative}"
        try:
            descriptor = os.open(path, _TO_READ) if self.follow else _open_below(str(self.path), relative)
        except FileNotFoundError:
            if relative != v.METADATA_FILE:
                raise CrateError(path, "no such file") from None
            problem = f"no crate: {relative} is missing" if self.path.is_dir() else "no such directory"
            raise CrateError(self.path, problem) from None
        except NotADirectoryError:
            raise CrateError(self.path, "a file; a crate is a directory or a zip") from None
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
    descriptors: list[int] = []
    try:
        if not above:
            return os.open(f"{top}/{name}", _TO_READ | os.O_NOFOLLOW)
        descriptors.append(os.open(top, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        for part in above:
            flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptors.append(os.open(part or ".", flags, dir_fd=descriptors[-1]))
        return os.open(name, _TO_READ | os.O_NOFOLLOW, dir_fd=descriptors[-1])
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


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


class ZipSource:
    """A crate in a zip file, at its top or in a directory of it.

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
    def location(self) -> str:
        """See :class:`Source`."""
        return f"{self._path.absolute()}!{self._prefix}"

    @property
    def key(self) -> str:
        """See :class:`Source`."""
        return v.key_of(self._prefix.rstrip("/").rsplit("/", 1)[-1] or self._path.name)

    @property
    def prefix(self) -> str:
        """Directory of the crate in the zip, with its slash."""
        return self._prefix

    def names(self) -> Iterator[str]:
        """See :class:`Source`."""
        for name, _ in self.files():
            yield name

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
            raise CrateError(f"{self.where}/{relative}", "no such file") from None
        except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
            raise CrateError(f"{self.where}/{relative}", f"cannot be read: {error}") from None

    def size(self, relative: str) -> int:
        """See :class:`Source`."""
        try:
            return self._archive.getinfo(self._prefix + relative).file_size
        except KeyError:
            raise CrateError(f"{self.where}/{relative}", "no such file") from None

    def signature(self) -> tuple[int, int]:
        """See :class:`Source`."""
        status = self._path.stat()
        return status.st_size, status.st_mtime_ns


def check_names(path: Path, archive: zipfile.ZipFile) -> None:
    """Refuse a zip whose members could do harm, by what its directory says; a member never gives more than that.

    Raises:
        CrateError: names the zip, and the member if it is the fault of one.
    """
    _check_sizes(path, archive)
    seen: set[str] = set()
    for info in archive.infolist():
        name = info.filename
        if info.flag_bits & 0x1:
            raise CrateError(path, "encrypted", name)
        if name.startswith(("/", "\\")) or "\\" in name or "\0" in name or (len(name) > 1 and name[1] == ":"):
            raise CrateError(path, "an absolute or foreign path; refused", repr(name))
        if ".." in name.split("/"):
            raise CrateError(path, "a path that leads outside; refused", repr(name))
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise CrateError(path, "a link or device; a crate holds plain files", name)
        if name.rstrip("/") in seen:
            raise CrateError(path, "twice in the zip", name)
        seen.add(name.rstrip("/"))


def _check_sizes(path: Path, archive: zipfile.ZipFile) -> None:
    members = archive.infolist()
    if len(members) > bounds.MAX_MEMBERS:
        raise CrateError(path, f"{len(members):,} members, more than {bounds.MAX_MEMBERS:,}; refused")
    packed, unpacked = path.stat().st_size, sum(info.file_size for info in members)
    # The file's size, and not what members say of theirs: several may share the same bytes.
    if unpacked > bounds.RATIO_FROM_BYTES and unpacked > bounds.MAX_RATIO * packed:
        raise CrateError(path, f"unpacks to {unpacked:,} bytes from {packed:,}; refused")
    if unpacked > bounds.MAX_UNPACKED_BYTES:
        raise CrateError(path, f"unpacks to {unpacked:,} bytes, more than {bounds.MAX_UNPACKED_BYTES:,}; refused")
    if sum(info.compress_size for info in members) > packed:
        raise CrateError(path, "members that share bytes; refused")


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open a zip file, with ``./x`` in it named ``x``. Its members are not checked: see :func:`check_names`.

    Raises:
        CrateError: it is no zip file, or a damaged one.
    """
    try:
        archive = zipfile.ZipFile(path)
        _drop_dots(archive)
        return archive
    except OSError as error:
        raise CrateError(path, f"not a readable zip file: {error.strerror or error}") from None
    except Exception as error:
        # BadZipFile, NotImplementedError, UnicodeDecodeError and whatever else a damaged directory provokes
        raise CrateError(path, f"not a readable zip file: {error}") from None


def _drop_dots(archive: zipfile.ZipFile) -> None:
    """Name members without ``.`` in their paths, which bsdtar and others write: ``./data/x`` is ``data/x``."""
    if not any(_DOT.search(name) for name in archive.NameToInfo):
        return
    for info in archive.filelist:
        info.filename = "/".join(part for part in info.filename.split("/") if part != ".")
    archive.filelist = [info for info in archive.filelist if info.filename]
    archive.NameToInfo = {info.filename: info for info in archive.filelist}


def _crates_in(path: Path) -> tuple[zipfile.ZipFile, list[str]]:
    """Open a zip file; return it and the directories in it that hold crate metadata.

    Raises:
        CrateError: no zip, damaged, dangerous, or without a crate.
    """
    archive = open_zip(path)
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
    return archive, tops


def _runs_among(tops: list[str]) -> set[str]:
    return {top for top in tops if any(other.startswith(f"{top}{v.STEPS_DIR}/") for other in tops)}


def zip_sources(path: Path) -> Iterator[ZipSource]:
    """Yield the step crates in a zip file, sorted by name.

    Raises:
        CrateError: no zip, damaged, dangerous, or without a crate.
    """
    archive, tops = _crates_in(path)
    runs = _runs_among(tops)
    for top in tops:
        if top not in runs:
            yield ZipSource(path, archive, top)


def run_sources(path: Path) -> Iterator[Source]:
    """Yield the run crates at a path: the directory if it is one, and those in a zip file.

    Raises:
        CrateError: the path is a file, and not a zip that can be read.
    """
    if is_run(path):
        yield DirectorySource(path)
    elif path.is_file():
        archive, tops = _crates_in(path)
        for top in sorted(_runs_among(tops)):
            yield ZipSource(path, archive, top)


def is_run(path: Path) -> bool:
    """Whether a directory was assembled as a run crate."""
    return (path / v.STEPS_DIR).is_dir() and (path / v.METADATA_FILE).is_file()


def candidates(path: Path) -> Iterator[Path]:
    """Yield the paths that may be step crates, at or directly in a directory, sorted by name.

    These are: the directory itself if it holds crate metadata; else everything in it that is named ``*.crate`` or
    ``*.zip``, whatever it is, and every directory that holds crate metadata; of a run crate, those in ``steps/``.
    Hidden ones, which are crates in the making, never, nor run crates in a directory of step crates. A file, and a
    crate in a zip (``many.zip!task.crate``), are given as they are.

    Raises:
        CrateError: no such path, or it cannot be listed.
    """
    if path.is_file() or in_zip(path) is not None:
        yield path
        return
    if (path / v.METADATA_FILE).is_file() and not is_run(path):
        yield path
        return
    if is_run(path) or (path.name.endswith(v.CRATE_SUFFIX) and (path / v.STEPS_DIR).is_dir()):
        path = path / v.STEPS_DIR
    try:
        with os.scandir(path) as entries:
            inside = sorted((entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith("."))
    except OSError as error:
        raise CrateError(path, f"cannot be listed: {error.strerror or error}") from None
    for name, is_directory in inside:
        candidate = path / name
        if is_directory:
            if (name.endswith(v.CRATE_SUFFIX) or (candidate / v.METADATA_FILE).is_file()) and not is_run(candidate):
                yield candidate
        elif name.endswith((v.ZIP_SUFFIX, v.CRATE_SUFFIX)):
            yield candidate


def in_zip(path: Path) -> tuple[Path, str] | None:
    """Return the zip file and the directory in it that ``many.zip!task.crate`` names; None for any other path."""
    text = str(path)
    at = text.find("!")
    while at >= 0:
        if os.path.isfile(text[:at]) and not os.path.lexists(text):
            return Path(text[:at]), text[at + 1 :].rstrip("/")
        at = text.find("!", at + 1)
    return None


def need_zip(path: Path) -> None:
    """Refuse a file that is no zip file; one that is named so may be a damaged one, and its reader tells more.

    Raises:
        CrateError: it is not.
    """
    if path.suffix != v.ZIP_SUFFIX and not zipfile.is_zipfile(path):
        raise CrateError(path, "a file; a crate is a directory or a zip")


def sources_at(candidate: Path, *, lenient: bool = False) -> Iterator[Source]:
    """Yield the step crates at one path that :func:`candidates` gave.

    Args:
        candidate: the path.
        lenient: take names that are not text, and read files that links lead to: for what only looks at crates.

    Raises:
        CrateError: the path is a zip that cannot be taken, a link to nowhere, not a regular file, or its name is not
            text.
    """
    try:
        if not lenient:
            candidate.name.encode()
    except UnicodeEncodeError:
        raise CrateError(candidate, "a name that is no text in UTF-8") from None
    if candidate.is_dir():
        yield DirectorySource(candidate, follow=lenient)
        return
    if not candidate.exists():
        named = in_zip(candidate)
        if named is not None:
            yield _source_in_zip(*named)
            return
        problem = "a link that leads nowhere" if candidate.is_symlink() else "no such crate"
        raise CrateError(candidate, problem)
    if not candidate.is_file():
        raise CrateError(candidate, "not a regular file")  # a pipe would make the reader wait for ever
    need_zip(candidate)
    yield from zip_sources(candidate)


def _source_in_zip(path: Path, inner: str) -> Source:
    for source in zip_sources(path):
        if source.prefix.rstrip("/") == inner:
            return source
    raise CrateError(f"{path}!{inner}", "no such crate in the zip")


#: Called with what :func:`candidates` gave, and the reason why it cannot be taken.
Refuse = Callable[[str, CrateError], None]


def each_source(candidate: Path, refuse: Refuse, *, lenient: bool = False) -> Iterator[Source]:
    """As :func:`sources_at`; ``refuse`` is called instead of an error that is raised."""
    try:
        with blaming(candidate):
            yield from sources_at(candidate, lenient=lenient)
    except CrateError as error:
        refuse(str(candidate), error)


def find_sources(path: Path, refuse: Refuse) -> Iterator[Source]:
    """Yield all step crates at or directly in a path: a directory, a zip file, a run crate.

    Args:
        path: where to look.
        refuse: called with what cannot be taken; the others are given.

    Raises:
        CrateError: the path does not exist, or cannot be listed.
    """
    for candidate in candidates(path):
        yield from each_source(candidate, refuse)


def source_of(crate: Path | str) -> Source:
    """Return the one step crate at a path: a directory, a zip of one, or ``many.zip!task.crate``.

    Raises:
        CrateError: there is none, or more than one.
    """
    sources = sources_at(Path(crate), lenient=True)
    first = next(sources)
    if next(sources, None) is not None:
        raise CrateError(crate, f"more than one crate; name one, such as {first.where}")
    return first


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
