"""Crates from directories into packs, and back; each is whole in its new place before it leaves the old one."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from prov_worker.crate import vocabulary as v
from prov_worker.crate.json_text import safe_name
from prov_worker.crate.packs import format as form
from prov_worker.crate.packs import recovery
from prov_worker.crate.packs.bills import copy_bills
from prov_worker.crate.packs.writer import PackWriter
from prov_worker.crate.publish import parse_attempt, place, read_attempt
from prov_worker.crate.sources import DirectorySource, PackSource, Source, candidates, need_directory, read, sources_at
from prov_worker.crate.sources.comparison import difference
from prov_worker.crate.sources.packs import PackFile, present
from prov_worker.crate.sources.zips import open_zip
from prov_worker.crate.staging import remove_leftovers, staging_name
from prov_worker.crate.summary import RunStep
from prov_worker.crate.summary_reader import open_step
from prov_worker.errors import CrateError, InputError, blaming
from prov_worker.humanize import plural
from prov_worker.printable import is_text

#: A file of a crate is in memory while it is packed; a crate with a larger one stays a directory.
MAX_FILE_BYTES = 256 << 20
Progress = Callable[[int, int], None]


@dataclass(slots=True)
class Converted:
    """What was converted.

    Attributes:
        crates: crates that were packed or unpacked now.
        known: those that were in the other form already.
        removed: directories or packs that are gone.
        made: packs that were written; of :func:`unpack`, none.
        repaired: packs that their writers had left open, or that were cut, and that are whole now.
        problems: what was left as it is, each with its reason.
    """

    crates: int = 0
    known: int = 0
    removed: int = 0
    made: list[Path] = field(default_factory=list)
    repaired: list[recovery.Recovered] = field(default_factory=list)
    problems: list[CrateError] = field(default_factory=list)


def pack(
    directory: Path,
    target: Path | None,
    *,
    keep: bool,
    progress: Progress,
    accepts: Callable[[RunStep], bool] | None = None,
) -> Converted:
    """Put the crates of a directory into packs.

    Args:
        directory: its crates that are directories are taken; a crate itself is refused.
        target: where the packs appear; None takes the directory.
        keep: leave the directories. Else each is removed when the pack that holds it is closed.
        progress: called with the number of crates done and their total.
        accepts: which crates are packed, judged before the first is; None takes all.

    Raises:
        InputError: no directory, or a crate.
        OSError: the target cannot be written. What was packed is kept, and nothing was removed that is not packed.
    """
    need_directory(directory)
    result = Converted()
    crates = [path for path in candidates(directory) if path.is_dir()]
    if accepts is not None:
        crates = [path for path in crates if _is_accepted(path, accepts, result)]
    remove_leftovers(directory)
    if target is None:
        target = directory
    else:
        _make(target)
        copy_bills(directory, target)
    for path in recovery.left_open(target):
        repaired = recovery.make_whole(path)
        if repaired.path is not None and repaired.crates:
            result.repaired.append(repaired)
    batch = _Batch(target, keep, result)
    try:
        for number, crate in enumerate(crates):
            progress(number, len(crates))
            try:
                with blaming(crate):
                    batch.take(DirectorySource(crate))
            except CrateError as error:
                result.problems.append(error)
        progress(len(crates), len(crates))
    finally:
        batch.close()
    return result


def _is_accepted(path: Path, accepts: Callable[[RunStep], bool], result: Converted) -> bool:
    try:
        with blaming(path):
            return accepts(open_step(DirectorySource(path))[0])
    except CrateError as error:
        result.problems.append(error)
        return False


def _make(target: Path) -> None:
    """Make a directory for what is written, unless it is there, and clear it of what killed writers left."""
    target.mkdir(exist_ok=True)
    need_directory(target)
    remove_leftovers(target, plain=True)


class _Batch:
    """Packs that are being filled, and directories that go when one is closed."""

    def __init__(self, target: Path, keep: bool, result: Converted) -> None:
        self._target = target
        self._keep = keep
        self._result = result
        self._writer: PackWriter | None = None
        self._taken: dict[str, DirectorySource] = {}
        self._packs = _Packed(target, result)

    def take(self, source: DirectorySource) -> None:
        """Take one crate.

        Raises:
            CrateError: it is none that a pack can hold; it stays as it is.
        """
        if source.path.is_symlink():
            raise CrateError(source.where, "a link; left as it is")
        open_step(source)
        metadata = form.Packed.of(read(source, v.METADATA_FILE))
        name = v.crate_name(source.key)
        if name in self._taken:
            self.close()  # only what is in a closed pack can be compared
        if name in self._packs:
            self._packs.compare(name, source)
            self._result.known += 1
            self._remove(source.path)
            return
        files = list(self._files(source, metadata))
        attempt = read_attempt(source.path)
        if self._writer is not None and self._writer.is_full:
            self.close()
        if self._writer is None:
            self._writer = PackWriter(self._target)
        time_ns = os.stat(source.path / v.METADATA_FILE).st_mtime_ns
        self._writer.append(name, files, attempt, time_ns if attempt is None else attempt.end_ns)
        self._taken[name] = source
        self._result.crates += 1

    @staticmethod
    def _files(source: DirectorySource, metadata: form.Packed) -> Iterable[tuple[str, form.Packed]]:
        for relative, size in source.files():
            if relative == v.METADATA_FILE:
                continue
            if size > MAX_FILE_BYTES:
                raise CrateError(source.where, f"larger than {MAX_FILE_BYTES >> 20} MiB; left as it is", relative)
            name = f"{source.key}/{relative}"
            if len(name.encode(errors="replace")) > form.MAX_NAME_BYTES - 64 or not is_text(name):
                raise CrateError(source.where, "a name that a zip cannot hold; left as it is", repr(relative))
            yield relative, form.Packed.of(read(source, relative, MAX_FILE_BYTES))
        yield v.METADATA_FILE, metadata

    def close(self) -> None:
        """Close the pack, and remove what is in it now."""
        writer, self._writer = self._writer, None
        taken, self._taken = self._taken, {}
        if writer is None:
            return
        path = writer.close()
        if path is None:
            return
        self._result.made.append(path)
        self._packs.add(path)
        if self._keep:
            return
        for name, source in taken.items():
            try:
                self._packs.compare(name, source)
            except CrateError as error:
                self._result.problems.append(error)
            else:
                self._remove(source.path)

    def _remove(self, crate: Path) -> None:
        if self._keep:
            return
        # Hidden first: nobody sees half of it.
        hidden = crate.with_name(staging_name(f"packed-{crate.name}"))
        try:
            os.rename(crate, hidden)
        except OSError as error:
            self._result.problems.append(CrateError(crate, f"cannot be removed: {error.strerror or error}"))
            return
        shutil.rmtree(hidden, ignore_errors=True)
        self._result.removed += 1


class _Packed:
    """The crates in the packs of a directory."""

    def __init__(self, directory: Path, result: Converted) -> None:
        self._packs: dict[str, list[Path]] = {}
        self._look: PackFile | None = None
        for candidate in candidates(directory):
            if not form.is_pack(candidate.name) or candidate.is_symlink():
                continue
            try:
                self.add(candidate)
            except CrateError as error:
                result.problems.append(error)

    def add(self, path: Path) -> None:
        """Add the crates of a pack.

        Raises:
            CrateError: it cannot be read.
        """
        self._look = PackFile(path)
        for crate in self._look.crates:
            self._packs.setdefault(crate, []).append(path)

    def __contains__(self, name: str) -> bool:
        return name in self._packs

    def compare(self, name: str, source: DirectorySource) -> None:
        """Compare a crate with what is packed under its name.

        Raises:
            CrateError: it is not the same, byte for byte; or one of both cannot be read.
        """
        problems = []
        for pack in self._packs[name]:
            try:
                if self._look is None or self._look.path != pack:
                    self._look = PackFile(pack)
                packed = self._look.source(name)
                differing = v.METADATA_FILE if packed is None else difference(source, packed)
            except CrateError as error:
                problems.append(CrateError(source.where, f"cannot be compared, and is left as it is: {error}"))
                continue
            if differing is None:
                return
            problems.append(CrateError(source.where, f"differs from that in {pack}; left as it is", differing))
        raise problems[-1]


def unpack(paths: Iterable[Path], target: Path | None, *, keep: bool, progress: Progress) -> Converted:
    """Make directories of the crates in packs.

    Args:
        paths: packs, or directories of them.
        target: where the directories appear; None takes that of each pack.
        keep: leave the packs. Else each is removed when all of its crates are directories; one that grows stays.
        progress: called with the number of packs done and their total.

    Raises:
        InputError: there is no pack at a path.
        OSError: the target cannot be written. No crate is lost.
    """
    packs = []
    for path in paths:
        inside = [candidate for candidate in candidates(path) if form.is_pack(candidate.name)]
        if not inside:
            raise InputError(f"{path}: not a pack, nor a directory with packs")
        packs += inside
    if target is not None:
        _make(target)
    result = Converted()
    for directory in {pack.parent for pack in packs} if target is None else ():
        remove_leftovers(directory, plain=True)
    for number, pack in enumerate(packs):
        progress(number, len(packs))
        if pack.is_symlink() and not keep:
            result.problems.append(CrateError(pack, "a link; left as it is"))
            continue
        before = len(result.problems)
        try:
            members = 0
            if target is not None:
                copy_bills(pack.parent, target)
            for source in sources_at(pack):
                with _noting(result):
                    members += _unpack(source, pack.parent if target is None else target, result)
            if not keep and len(result.problems) == before:
                _remove_pack(pack, members, result)
        except CrateError as error:
            result.problems.append(error)
    progress(len(packs), len(packs))
    return result


@contextlib.contextmanager
def _noting(result: Converted) -> Iterator[None]:
    """Note what cannot be taken, and go on with the next."""
    try:
        yield
    except CrateError as error:
        result.problems.append(error)


def _remove_pack(pack: Path, members: int, result: Converted) -> None:
    """Remove a pack whose crates are directories now.

    Args:
        pack: its path.
        members: number of files that its crates have.
        result: what was removed is added.

    Raises:
        CrateError: it grows, or has more files than those of its crates; it stays.
    """
    if present(pack) != pack:
        raise CrateError(pack, "grows; it stays")
    with open_zip(pack) as archive:
        more = sum(not info.is_dir() for info in archive.infolist()) - members
    if more:
        raise CrateError(pack, f"has {plural(more, 'file')} of no crate; it stays")
    pack.unlink()
    result.removed += 1


def _unpack(source: Source, target: Path, result: Converted) -> int:
    """Make a directory of a crate; return the number of its files.

    Raises:
        CrateError: it cannot be read, or another crate has its name.
    """
    final = target / v.crate_name(source.key)
    metadata = read(source, v.METADATA_FILE)
    clash = CrateError(source.where, f"{final} is there, and is not the same; both are left as they are")
    if final.is_dir() and not final.is_symlink() and _is_known(source, final):
        result.known += 1
        return sum(1 for _ in source.files())
    me = parse_attempt(metadata) if isinstance(source, PackSource) else None
    names = {final} if me is None else {final, target / v.crate_name(safe_name(me.id.task_id))}
    for path in filter(os.path.lexists, names):
        other = None if path.is_symlink() else read_attempt(path)
        if me is None or other is None or (path == final and me.is_of(other) and not other.gives_way_to(me)):
            raise clash
    staged = target / staging_name(source.key)
    try:
        staged.mkdir()
        _copy(source, metadata, staged)
        number = staged.stat().st_ino
        if me is not None:
            final = place(staged, target, me)
        else:
            os.rename(staged, final)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    if not _is_known(source, final):
        raise clash
    if final.stat().st_ino == number:
        result.crates += 1
    else:
        result.known += 1
    return sum(1 for _ in source.files())


def _is_known(source: Source, directory: Path) -> bool:
    """Return whether a directory has this crate, byte for byte, or the true end of a task that it was a verdict on."""
    there = DirectorySource(directory)
    with contextlib.suppress(CrateError):  # what cannot be read is not the same
        if difference(there, source) is None:
            return True
    attempt, other = parse_attempt(read(source, v.METADATA_FILE)), read_attempt(directory)
    return attempt is not None and other is not None and attempt.gives_way_to(other)


def _copy(source: Source, metadata: bytes, staged: Path) -> None:
    for relative, size in source.files():
        path = staged / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        if relative != v.METADATA_FILE:
            path.write_bytes(read(source, relative, size))
    (staged / v.METADATA_FILE).write_bytes(metadata)
