"""Crates in zip files, which may come from anywhere.

Names that lead outside, links, encryption, names that occur twice and contents that are far larger than the file are
refused before anything of them is read.
"""

from __future__ import annotations

import re
import stat
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from prov_worker.crate import bounds
from prov_worker.crate import vocabulary as v
from prov_worker.crate.packs import format as form
from prov_worker.crate.sources.triggers import is_trigger
from prov_worker.errors import CrateError

_DOT = re.compile(r"(?:\A|/)\.(?:/|\Z)")


#: Kinds of files, by the upper bits of their mode, that are none or plain.
_PLAIN = {0, stat.S_IFREG >> 12}
#: Opens a member of a zip file.
Opener = Callable[[zipfile.ZipInfo], IO[bytes]]


class ZipSource:
    """A crate in a zip file, at its top or in a directory of it.

    Args:
        path: the zip file.
        prefix: directory of the crate in it, with its slash; empty for the top.
        infos: members of the crate by relative path.
        opener: opens one of them.
        key: of the crate, if the name of its directory does not tell.
    """

    def __init__(
        self, path: Path, prefix: str, infos: dict[str, zipfile.ZipInfo], opener: Opener, key: str | None = None
    ) -> None:
        self._path = path
        self._prefix = prefix
        self._infos = infos
        self._opener = opener
        self._key = key

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
        return self._key or v.key_of(self._prefix.rstrip("/").rsplit("/", 1)[-1] or self._path.name)

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
        for relative, info in self._infos.items():
            yield relative, info.file_size

    def member(self, relative: str) -> zipfile.ZipInfo:
        """Return the member that is a file of the crate.

        Raises:
            CrateError: there is no such file.
        """
        try:
            return self._infos[relative]
        except KeyError:
            raise CrateError(f"{self.where}/{relative}", "no such file") from None

    def open(self, relative: str) -> IO[bytes]:
        """See :class:`Source`."""
        info = self.member(relative)
        try:
            return self._opener(info)
        except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
            raise CrateError(f"{self.where}/{relative}", f"cannot be read: {error}") from None

    def size(self, relative: str) -> int:
        """See :class:`Source`."""
        return self.member(relative).file_size

    def signature(self) -> tuple[int, int]:
        """See :class:`Source`."""
        status = self._path.stat()
        return status.st_size, status.st_mtime_ns


def check_names(path: Path, archive: zipfile.ZipFile) -> None:
    """Refuse a zip whose members could do harm, by what its directory says; a member never gives more than that.

    Raises:
        CrateError: names the zip, and the member if it is the fault of one.
    """
    check_members(path, archive.infolist(), path.stat().st_size)


def check_members(path: Path, members: Sequence[zipfile.ZipInfo], size: int) -> None:
    """Check names as :func:`check_names`, of members found in another way, in a file of ``size`` bytes."""
    _check_sizes(path, members, size)
    if _are_ordinary(members):
        return
    seen: set[str] = set()
    for info in members:
        name = info.filename
        if not name:
            raise CrateError(path, "a member without a name; refused")
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


def _are_ordinary(members: Sequence[zipfile.ZipInfo]) -> bool:
    """Return whether there is nothing about names that :func:`check_members` would look at more closely; quick."""
    names = [info.filename for info in members]
    text = "\0".join(["", *names, ""])
    return (
        len(set(names)) == len(names)
        and text.count("\0") == len(names) + 1
        and not any(mark in text for mark in ("\0\0", "\0/", "/\0", "..", "\\", ":"))
        and {info.external_attr >> 28 for info in members} <= _PLAIN
        and not any(info.flag_bits & 0x1 for info in members)
    )


def _check_sizes(path: Path, members: Sequence[zipfile.ZipInfo], packed: int) -> None:
    if len(members) > bounds.MAX_MEMBERS:
        raise CrateError(path, f"{len(members):,} members, more than {bounds.MAX_MEMBERS:,}; refused")
    unpacked = sum(info.file_size for info in members)
    # The file's size, and not what members say of theirs: several may share the same bytes.
    if unpacked > bounds.RATIO_FROM_BYTES and unpacked > bounds.MAX_RATIO * packed:
        raise CrateError(path, f"unpacks to {unpacked:,} bytes from {packed:,}; refused")
    if unpacked > bounds.MAX_UNPACKED_BYTES:
        raise CrateError(path, f"unpacks to {unpacked:,} bytes, more than {bounds.MAX_UNPACKED_BYTES:,}; refused")
    end = 0
    for offset, packed_size in sorted((info.header_offset, info.compress_size) for info in members):
        if offset < end:
            raise CrateError(path, "members that share bytes; refused")
        end = offset + form.LOCAL_BYTES + packed_size
    if end > packed:
        raise CrateError(path, "members beyond its end; refused")


def open_zip(path: Path, stream: IO[bytes] | None = None) -> zipfile.ZipFile:
    """Open a zip file, with ``./x`` in it named ``x``. Its members are not checked: see :func:`check_names`.

    Args:
        path: the file.
        stream: the same, if it is open.

    Raises:
        CrateError: it is not a zip file, or a damaged one.
    """
    try:
        archive = zipfile.ZipFile(path if stream is None else stream)
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


def crates_in(path: Path) -> tuple[zipfile.ZipFile, list[str]]:
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
        raise CrateError(path, f"not a crate: {v.METADATA_FILE} is missing in the zip")
    return archive, tops


def runs_among(tops: list[str]) -> set[str]:
    """Return the directories that are run crates: those with crates in their ``steps``."""
    steps = re.compile(rf"(?:\A|(?<=/)){v.STEPS_DIR}/")
    above = {top[: match.start()] for top in tops for match in steps.finditer(top)}
    return above.intersection(tops)


def zip_sources(path: Path) -> Iterator[ZipSource]:
    """Yield the step crates in a zip file, sorted by name; crates of triggers are passed over.

    Raises:
        CrateError: no zip, damaged, dangerous, or without a crate.
    """
    archive, tops = crates_in(path)
    runs = runs_among(tops)
    infos = _by_crate(archive, set(tops).difference(runs))
    for top in tops:
        if top not in runs and not is_trigger(source := ZipSource(path, top, infos[top], archive.open)):
            yield source


def run_source(path: Path, archive: zipfile.ZipFile, top: str) -> ZipSource:
    """Return the source of one crate of a zip file with all that is in its directory."""
    return ZipSource(path, top, _by_crate(archive, {top})[top], archive.open)


def _by_crate(archive: zipfile.ZipFile, tops: set[str]) -> dict[str, dict[str, zipfile.ZipInfo]]:
    """Return the members of each of some crates, none of which is in another, by relative path."""
    infos: dict[str, dict[str, zipfile.ZipInfo]] = {top: {} for top in tops}
    for info in archive.infolist():
        if info.is_dir():
            continue
        at = 0
        while (top := info.filename[:at]) not in tops and (at := info.filename.find("/", at) + 1):
            pass
        if top in tops:
            infos[top][info.filename[len(top) :]] = info
    return infos
