"""Packs are collected: closed ones whole, growing ones by what was appended since.

A closed pack travels into the staging directory, each of its crates is compared there with the hashes in its metadata,
and it appears by a rename. Of a growing one the bytes are appended in place: nobody reads them before the file that
says how far the pack is complete follows them, and that follows when the crates in them have been compared.
"""

from __future__ import annotations

import os
from pathlib import Path

from prov_worker.crate.check import check_files
from prov_worker.crate.packs.format import PART
from prov_worker.crate.packs.offsets import offsets_path
from prov_worker.crate.sources.packs import PackFile, closed_path
from prov_worker.errors import CrateError
from prov_worker.files import sha256_of_file, stays_in, write_file
from prov_worker.run.collect.remote import Place

#: Size and checksum of the metadata of each crate, by its name.
Content = dict[str, tuple[int, int]]


class PackProblem(Exception):  # noqa: N818 - it becomes a Problem of the collection
    """Why a pack did not come, or not all of it."""


class PackCollection:
    """The packs of one source on their way.

    Args:
        place: the source.
        target: directory to which they come.
        staging: for closed packs on their way, on the same file system.
        temporary: for files in the making, on the same file system.
        bandwidth: limit as rsync's ``--bwlimit`` takes it.
        remote: path of rsync at the source.
    """

    def __init__(
        self, place: Place, target: Path, staging: Path, temporary: Path, bandwidth: str | None, remote: str
    ) -> None:
        self._place = place
        self._target = target
        self._staging = staging
        self._temporary = temporary
        self._bandwidth = bandwidth
        self._remote = remote

    def is_home(self, name: str, size: int) -> bool:
        """Return whether a pack of this name and size is there already, and can have come from here alone."""
        path = self._target / name
        return stays_in(self._target, name) and path.is_file() and path.stat().st_size == size

    def count(self, name: str) -> int:
        """Return how many crates are in a pack that is collected; 0 if it cannot be read."""
        return len(_content(self._target / name))

    def fetch(self, name: str) -> list[str]:
        """Bring a pack; return the names of the crates that were not here before.

        Raises:
            PackProblem: it did not come, or is not what it should be; what was here is kept.
            CollectError: the source does not answer.
        """
        if not (stays_in(self._target, name) and stays_in(self._staging, name)):
            raise PackProblem("leads elsewhere by a link, and is left alone")
        final = closed_path(self._target / name)
        before = _content(final)
        final.parent.mkdir(exist_ok=True)
        return self._growing(name, final, before) if name.endswith(PART) else self._closed(name, final, before)

    def _closed(self, name: str, final: Path, before: Content) -> list[str]:
        for directory in (self._staging, self._temporary):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = self._temporary.absolute()
        self._place.fetch([name], self._staging, temporary, self._bandwidth, self._remote)
        staged = self._staging / name
        if not staged.is_file() or staged.is_symlink():
            raise PackProblem("did not come: it is gone at the source, or cannot be read there")
        new = _compared(staged, {})
        if any(new.get(crate) != metadata for crate, metadata in before.items()):
            staged.unlink()
            raise PackProblem(f"lacks crates of {final}, or has others, which is kept")
        os.rename(staged, final)
        part = final.with_name(final.name + PART)
        for left in (part, offsets_path(part)):
            left.unlink(missing_ok=True)
        return sorted(set(new).difference(before))

    def _growing(self, name: str, final: Path, before: Content) -> list[str]:
        if final.is_file():
            raise PackProblem(f"grows again behind {final}, which is kept; collect again when it is closed")
        part = self._target / name
        offsets = offsets_path(part)
        if any(path.is_symlink() for path in (part, offsets)):
            raise PackProblem("leads elsewhere by a link, and is left alone")
        notes = self._place.content(f"{name.removesuffix(PART)}.offsets")
        if part.exists() and not offsets.exists():
            part.unlink()  # of a collection that was interrupted: it has no begin that anybody vouches for
        had = offsets.read_bytes() if offsets.exists() else None
        if had is not None and not notes.startswith(had):
            raise PackProblem(f"is another one than {part}, which is kept")
        self._place.append(name, self._target, self._bandwidth, self._remote)
        end = _complete(notes, part)
        if had is None:
            write_file(offsets, notes[: notes.index(b"\n") + 1])
        try:
            write_file(offsets, end)
            new = _compared(part, before)
        except PackProblem:
            write_file(offsets, had if had is not None else end[: end.index(b"\n") + 1])
            raise
        return sorted(set(new).difference(before))

    def remove(self, name: str) -> bool:
        """Remove a closed pack at its source if it is what is here; whether it was."""
        digest = sha256_of_file(self._target / name)
        return self._place.remove_file(name, digest)


def _complete(notes: bytes, part: Path) -> bytes:
    """Return the lines of a file of offsets that a pack is long enough for."""
    size = part.stat().st_size if part.is_file() else 0
    head, *lines = notes.split(b"\n")[:-1] or [b""]
    kept = [line for line in lines if line.isdigit() and int(line) <= size]
    return b"".join(line + b"\n" for line in (head, *kept))


def _content(path: Path) -> Content:
    """Return what is in a pack; nothing if there is none, or it cannot be read."""
    try:
        pack = PackFile(path)
    except CrateError:
        return {}
    return {crate: pack.metadata(crate) for crate in pack.crates}


def _compared(path: Path, before: Content) -> Content:
    """Return what is in a pack whose crates are as their metadata say.

    Args:
        path: of the pack.
        before: crates that were compared earlier.

    Raises:
        PackProblem: one is not; it is named.
    """
    try:
        pack = PackFile(path)
    except CrateError as error:
        raise PackProblem(f"{error.reason}; nothing of it was kept") from None
    content = {}
    for source in pack.sources():
        crate = source.prefix.rstrip("/")
        content[crate] = pack.metadata(crate)
        if before.get(crate) != content[crate] and (wrong := check_files(source)):
            raise PackProblem(f"{crate}/{wrong[0].where}: {wrong[0].message}; nothing of it was kept")
    return content
