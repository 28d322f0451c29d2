"""Crates from directories into packs, and back; each is whole in its new place before it leaves the old one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from prov_worker.crate import vocabulary as v
from prov_worker.crate.packs import format as form
from prov_worker.crate.packs import recovery
from prov_worker.crate.packs.writer import PackWriter
from prov_worker.crate.publish import place, read_attempt
from prov_worker.crate.sources import DirectorySource, PackSource, Source, candidates, is_run, read, sources_at
from prov_worker.crate.sources.packs import PackFile, present
from prov_worker.crate.staging import remove_leftovers, staging_name
from prov_worker.errors import CrateError, InputError, blaming
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
        problems: what was left as it is, each with its reason.
    """

    crates: int = 0
    known: int = 0
    removed: int = 0
    made: list[Path] = field(default_factory=list)
    problems: list[CrateError] = field(default_factory=list)


def pack(directory: Path, target: Path | None, *, keep: bool, progress: Progress) -> Converted:
    """Put the crates of a directory into packs.

    Args:
        directory: its crates that are directories are taken; a run crate is sealed, and refused.
        target: where the packs appear; None takes the directory.
        keep: leave the directories. Else each is removed when the pack that holds it is closed.
        progress: called with the number of crates done and their total.

    Raises:
        InputError: no directory, or a run crate.
        OSError: the target cannot be written. What was packed is kept, and nothing was removed that is not packed.
    """
    if not directory.is_dir():
        raise InputError(f"{directory}: no such directory")
    if is_run(directory):
        raise InputError(f"{directory}: a run crate, which is sealed: its steps are not packed")
    target = directory if target is None else target
    target.mkdir(exist_ok=True)
    result = Converted()
    for path in recovery.left_open(target):
        recovery.make_whole(path)
    there = dict(_packed(target, result))
    crates = [path for path in candidates(directory) if path.is_dir()]
    batch = _Batch(target, keep, result)
    try:
        for number, crate in enumerate(crates):
            progress(number, len(crates))
            try:
                with blaming(crate):
                    batch.take(DirectorySource(crate), there)
            except CrateError as error:
                result.problems.append(error)
        progress(len(crates), len(crates))
    finally:
        batch.close()
    return result


def _packed(directory: Path, result: Converted) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield the crates in packs of a directory: name, and size and checksum of their metadata."""
    for candidate in candidates(directory):
        if not form.is_pack(candidate.name):
            continue
        try:
            pack = PackFile(candidate)
        except CrateError as error:
            result.problems.append(error)
            continue
        for crate in pack.crates:
            yield crate, pack.metadata(crate)


class _Batch:
    """Packs that are being filled, and directories that go when one is closed."""

    def __init__(self, target: Path, keep: bool, result: Converted) -> None:
        self._target = target
        self._keep = keep
        self._result = result
        self._writer: PackWriter | None = None
        self._taken: list[Path] = []

    def take(self, source: DirectorySource, there: dict[str, tuple[int, int]]) -> None:
        """Take one crate.

        Raises:
            CrateError: it is none that a pack can hold; it stays as it is.
        """
        metadata = form.Packed.of(read(source, v.METADATA_FILE))
        name = v.crate_name(source.key)
        before = there.get(name)
        if before is not None:
            if before != (metadata.size, metadata.crc):
                raise CrateError(source.where, "another crate of this name is packed already; left as it is")
            self._result.known += 1
            self._remove([source.path])
            return
        files = list(self._files(source, metadata))
        attempt = read_attempt(source.path)
        if self._writer is not None and self._writer.is_full:
            self.close()
        if self._writer is None:
            self._writer = PackWriter(self._target)
        time_ns = os.stat(source.path / v.METADATA_FILE).st_mtime_ns
        self._writer.append(name, files, attempt, time_ns if attempt is None else attempt.end_ns)
        there[name] = (metadata.size, metadata.crc)
        self._taken.append(source.path)
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
        taken, self._taken = self._taken, []
        if writer is None:
            return
        path = writer.close()
        if path is not None:
            self._result.made.append(path)
        self._remove(taken)

    def _remove(self, crates: list[Path]) -> None:
        if self._keep:
            return
        for crate in crates:
            # Hidden first: nobody sees half of it.
            hidden = crate.with_name(staging_name(f"packed-{crate.name}"))
            try:
                os.rename(crate, hidden)
            except OSError as error:
                self._result.problems.append(CrateError(crate, f"cannot be removed: {error.strerror or error}"))
                continue
            shutil.rmtree(hidden, ignore_errors=True)
            self._result.removed += 1


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
            raise InputError(f"{path}: no pack, and no directory with packs")
        packs += inside
    result = Converted()
    if target is not None:
        target.mkdir(exist_ok=True)
        remove_leftovers(target)
    for number, pack in enumerate(packs):
        progress(number, len(packs))
        before = len(result.problems)
        try:
            for source in sources_at(pack):
                _unpack(source, pack.parent if target is None else target, result)
        except CrateError as error:
            result.problems.append(error)
        if keep or len(result.problems) > before:
            continue
        if present(pack) != pack:
            result.problems.append(CrateError(pack, "grows; it stays"))
            continue
        pack.unlink()
        result.removed += 1
    progress(len(packs), len(packs))
    return result


def _unpack(source: Source, target: Path, result: Converted) -> None:
    final = target / v.crate_name(source.key)
    metadata = read(source, v.METADATA_FILE)
    if final.is_dir():
        try:
            if read(DirectorySource(final), v.METADATA_FILE) == metadata:
                result.known += 1
                return
        except CrateError:
            pass  # no crate: what is there is told below
    staged = target / staging_name(source.key)
    try:
        staged.mkdir()
        _copy(source, metadata, staged)
        attempt = read_attempt(staged) if isinstance(source, PackSource) else None
        if attempt is not None:
            place(staged, target, attempt)
        elif os.path.lexists(final):
            raise CrateError(source.where, f"{final} is there, and is another crate; left as it is")
        else:
            os.rename(staged, final)
        result.crates += 1
    except CrateError as error:
        result.problems.append(error)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _copy(source: Source, metadata: bytes, staged: Path) -> None:
    for relative, size in source.files():
        path = staged / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        if relative != v.METADATA_FILE:
            path.write_bytes(read(source, relative, size))
    (staged / v.METADATA_FILE).write_bytes(metadata)
