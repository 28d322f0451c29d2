"""Reads packs: closed ones by their central directory, growing ones by their local headers.

A look at a pack is one :class:`PackFile`: it sees what was complete when it began. A pack that is closed during a look
keeps its bytes; the next look opens it again, since a network file system shows what was appended only to who opens.
"""

from __future__ import annotations

import os
import sys
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path

from prov_worker import open_flags
from prov_worker.crate import vocabulary as v
from prov_worker.crate.packs import format as form
from prov_worker.crate.packs import scan
from prov_worker.crate.packs.central import read_central
from prov_worker.crate.packs.members import PackMembers
from prov_worker.crate.packs.offsets import offsets_path, other_version, read_offsets
from prov_worker.crate.publish import Attempt
from prov_worker.crate.sources.zips import ZipSource, check_members, check_names, open_zip, zip_sources
from prov_worker.errors import CrateError

_LOOKS = 3


def closed_path(path: Path) -> Path:
    """Return the name that a pack has once it is closed, by which it is known everywhere."""
    return path.with_name(path.name.removesuffix(form.PART))


def present(path: Path) -> Path | None:
    """Return where a pack lies now, closed or growing; None if it is gone.

    Args:
        path: either of its names.
    """
    closed = closed_path(path)
    # Closed while it is looked for: the second look at the first name tells.
    for candidate in (closed, closed.with_name(closed.name + form.PART), closed):
        if candidate.is_file():
            return candidate
    return None


def signature_of(path: Path) -> tuple[int, int]:
    """Return what :meth:`PackSource.signature` of the crates of a pack would be; -1 and -1 if it is not known."""
    try:
        there = present(path)
        if there is None:
            return (-1, -1)
        status = there.stat()
        growing = there.name.endswith(form.PART)
        return read_offsets(there).end if growing else status.st_size, status.st_mtime_ns
    except (OSError, CrateError):
        return (-1, -1)


def pack_sources(path: Path) -> Iterator[ZipSource]:
    """Yield the crates of a pack, sorted by name.

    Args:
        path: of the pack, by either of its names.

    Raises:
        CrateError: it is gone, damaged, dangerous, or of another version.
    """
    pack = PackFile(path)
    yield from pack.sources() if pack.marked else zip_sources(pack.path)


def part_of(path: Path, part: int, parts: int) -> Iterator[ZipSource]:
    """Yield those crates of a pack that are in one part of it; for one part after another, the pack is looked at once.

    Args:
        path: of the pack, by either of its names.
        part: which, from 0 on.
        parts: number of them: a crate is in the same one, whoever looks at the pack and when.

    Raises:
        CrateError: as of :func:`pack_sources`.
    """
    pack = _look_at(path, signature_of(path))
    if not pack.marked:
        sources = zip_sources(pack.path)
        yield from (source for source in sources if zlib.crc32(os.fsencode(source.prefix)) % parts == part)
        return
    for crate in _in_parts(pack, parts)[part]:
        source = pack.source(crate)
        if source is not None:
            yield source


@lru_cache(maxsize=1)
def _look_at(path: Path, signature: tuple[int, int]) -> PackFile:
    """Return a look at a pack that has this signature, or has changed since."""
    return PackFile(path)


@lru_cache(maxsize=1)
def _in_parts(pack: PackFile, parts: int) -> list[list[str]]:
    crates: list[list[str]] = [[] for _ in range(parts)]
    for crate in pack.crates:
        crates[zlib.crc32(os.fsencode(crate)) % parts].append(crate)
    return crates


class PackFile(PackMembers):
    """One look at a pack.

    Args:
        path: of the pack, by either of its names.

    Attributes:
        path: its name once closed.
        infos: members by crate and relative path.
        marked: whether it is a pack by more than its name; else any program may have made it.

    Raises:
        CrateError: it is gone, damaged, dangerous, or of another version.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = closed_path(path)
        self._signature = (-1, -1)
        self.marked = True
        infos = self._look()
        self.infos: dict[str, dict[str, zipfile.ZipInfo]] = {}
        for info in infos:
            crate, _, relative = info.filename.partition("/")
            if not relative or relative.endswith("/"):
                continue
            members = self.infos.get(crate)
            if members is None:
                members = self.infos[crate] = {}
            members[sys.intern(relative)] = info  # most are the same in each crate

    def _look(self) -> list[zipfile.ZipInfo]:
        growing = self.path.with_name(self.path.name + form.PART)
        for _ in range(_LOOKS):
            try:
                self._open(self.path)
                return self._closed()
            except FileNotFoundError:
                pass
            try:
                end = read_offsets(growing).end
                self._open(growing)
                return self._growing(end)
            except FileNotFoundError:
                continue  # it was closed in between
        problem = "no such pack"
        if growing.is_file():
            problem = f"{offsets_path(growing).name} is missing; `prov-worker recover` makes the pack whole"
        raise CrateError(self.path, problem)

    def _open(self, path: Path) -> None:
        try:
            self._descriptor = os.open(path, os.O_RDONLY | open_flags.NONBLOCK | open_flags.CLOEXEC)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise CrateError(path, f"cannot be read: {error.strerror or error}") from None
        status = os.fstat(self._descriptor)
        self._signature = status.st_size, status.st_mtime_ns

    def _closed(self) -> list[zipfile.ZipInfo]:
        size, _ = self._signature
        infos = read_central(self._descriptor, size)
        if infos is not None:
            check_members(self.path, infos, size)
            return infos
        try:
            with os.fdopen(os.dup(self._descriptor), "rb") as stream, open_zip(self.path, stream) as archive:
                comment = archive.comment
                if comment.startswith(form.MARK.encode()):
                    version = comment[len(form.MARK) :].decode(errors="replace")
                    if version != str(form.VERSION):
                        raise other_version(self.path, version)
                else:
                    self.marked = False
                check_names(self.path, archive)
                return archive.infolist()
        except CrateError as error:
            if "not a readable zip" in error.reason and _begins_as_pack(self._descriptor):
                problem = "cut before its end; `prov-worker recover` gives it one, with all crates that are complete"
                raise CrateError(self.path, problem) from None
            raise

    def _growing(self, end: int) -> list[zipfile.ZipInfo]:
        self._signature = end, self._signature[1]
        by_crate = {}
        for crate, infos, _ in scan.crates(self._descriptor, end, verify=False):
            by_crate[crate] = infos
        infos = [info for infos in by_crate.values() for info in infos]
        check_members(self.path, infos, end)
        return infos

    @property
    def crates(self) -> list[str]:
        """Names of the directories of the crates, sorted."""
        return sorted(crate for crate, infos in self.infos.items() if v.METADATA_FILE in infos)

    def metadata(self, crate: str) -> tuple[int, int]:
        """Return size and checksum of the metadata of a crate: who has the same has the same crate."""
        info = self.infos[crate][v.METADATA_FILE]
        return info.file_size, info.CRC

    def attempts(self) -> dict[str, Attempt]:
        """Return the attempt of each crate that states one, by the name of its directory."""
        attempts = {}
        for crate in self.crates:
            task = v.split_key(v.key_of(crate))[0]
            attempt = form.stamp_in(self.infos[crate][v.METADATA_FILE].extra, task)
            if attempt is not None:
                attempts[crate] = attempt
        return attempts

    @cached_property
    def _keys(self) -> dict[str, str]:
        further = {v.split_key(v.key_of(crate)) for crate in self.crates if v.ATTEMPT_MARK in crate}
        tasks = {task for task, number in further if number is not None}
        if not tasks:  # each crate is of another task
            return {}
        return _keys({crate: attempt for crate, attempt in self.attempts().items() if attempt.id.task_id in tasks})

    def sources(self) -> Iterator[PackSource]:
        """Yield the crates, sorted by name."""
        for crate in self.crates:
            yield PackSource(self, crate, self._keys.get(crate))

    def source(self, crate: str) -> PackSource | None:
        """Return the crate in a directory; None if there is none."""
        there = v.METADATA_FILE in self.infos.get(crate, {})
        return PackSource(self, crate, self._keys.get(crate)) if there else None

    def signature(self) -> tuple[int, int]:
        """Return size and modification time (ns) of the pack at this look."""
        return self._signature


def _keys(attempts: dict[str, Attempt]) -> dict[str, str]:
    """Return the keys of crates of one pack whose task has several: the one that finished last has the plain one."""
    by_task: dict[str, list[str]] = {}
    for crate, attempt in attempts.items():
        by_task.setdefault(attempt.id.task_id, []).append(crate)
    keys: dict[str, str] = {}
    for task, crates in by_task.items():
        if len(crates) < 2:
            continue
        *earlier, latest = sorted(crates, key=lambda crate: (attempts[crate].rank, crate))
        keys[latest] = task
        numbers = Counter[int]()
        for crate in earlier:
            ordinal = attempts[crate].id.attempt
            numbers[ordinal] += 1
            keys[crate] = v.attempt_key(task, ordinal, numbers[ordinal])
    return keys


class PackSource(ZipSource):
    """A crate of a pack.

    Args:
        pack: a look at the pack.
        crate: name of its directory.
        key: of the crate, if its name does not tell.
    """

    def __init__(self, pack: PackFile, crate: str, key: str | None = None) -> None:
        super().__init__(pack.path, f"{crate}/", pack.infos[crate], pack.open, key)
        self._pack = pack

    def signature(self) -> tuple[int, int]:
        """See :class:`Source`."""
        return self._pack.signature()

    @property
    def ended_ns(self) -> int | None:
        """When the attempt ended, as the pack states it; None if it does not."""
        attempt = form.stamp_in(self.member(v.METADATA_FILE).extra, "")
        return None if attempt is None else attempt.end_ns

    def digest(self, relative: str) -> tuple[str, int]:
        """Return hex sha256 and size of a file; of bytes that stand in many crates of the pack, it is taken once.

        Raises:
            CrateError: there is no such file.
            OSError, zipfile.BadZipFile: it cannot be read, or differs from what the pack says of it.
        """
        return self._pack.digest(self.member(relative))

    @property
    def stored_bytes(self) -> int:
        """How much shorter the pack would be without the crate, but for what its directory says of it."""
        return sum(self.member(relative).compress_size for relative in self.names())

    def stored(self, relative: str) -> tuple[zipfile.ZipInfo, bytes]:
        """Return a file as it is stored, and what the pack says of it.

        Raises:
            CrateError: there is no such file, or it cannot be read.
        """
        info = self.member(relative)
        try:
            return info, self._pack.stored(info)
        except (OSError, zipfile.BadZipFile) as error:
            raise CrateError(f"{self.where}/{relative}", f"cannot be read: {error}") from None


def _begins_as_pack(descriptor: int) -> bool:
    """Return whether a file begins with a member as packs have them."""
    return isinstance(form.parse_local(os.pread(descriptor, 1 << 16, 0)), form.LocalHeader)
