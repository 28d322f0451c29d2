"""Makes packs whole that their writers left open, or that were cut: what was complete stays, and gets its directory."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prov_worker.crate.packs import format as form
from prov_worker.crate.packs import scan
from prov_worker.crate.packs.offsets import offsets_path, read_offsets
from prov_worker.crate.packs.writer import finish
from prov_worker.crate.staging import QUIET_S, writer_lives
from prov_worker.errors import CrateError
from prov_worker.humanize import plural


@dataclass(frozen=True, slots=True)
class Recovered:
    """A pack that was made whole.

    Attributes:
        path: of the pack; None if nothing complete was in it, and it was removed.
        crates: how many are in it.
        lost_bytes: of crates that were not complete, or damaged.
    """

    path: Path | None
    crates: int
    lost_bytes: int

    def __str__(self) -> str:
        cut = (
            f"; {plural(self.lost_bytes, 'byte')} of crates that were not complete are gone" if self.lost_bytes else ""
        )
        return f"{self.path}: {plural(self.crates, 'crate')}{cut}"


def left_open(directory: Path, quiet_s: float = QUIET_S) -> Iterator[Path]:
    """Yield the packs of a directory, sorted, that nobody writes any more and that have no central directory.

    A writer of this place is asked by its process id; of one of another place, nothing has changed for some time.

    Args:
        directory: where packs appear.
        quiet_s: what is long enough, in seconds.

    Raises:
        OSError: the directory cannot be listed.
    """
    for name in sorted(os.listdir(directory)):
        path = directory / name
        if form.is_pack(name) and _is_mine(path):
            if not name.endswith(form.PART):
                if _is_cut(path):
                    yield path
            elif not is_written(path, quiet_s):
                yield path


def is_written(part: Path, quiet_s: float = QUIET_S) -> bool:
    """Return whether a growing pack has a writer that lives, or that may live in another place."""
    lives = None
    try:
        lives = writer_lives(read_offsets(part).writer)
    except (CrateError, FileNotFoundError):
        pass  # torn or gone: nobody can be asked
    if lives is not None:
        return lives
    try:
        return time.time() - part.stat().st_mtime < quiet_s
    except FileNotFoundError:
        return True  # it was closed in this moment


def make_whole(path: Path) -> Recovered:
    """Give a pack a central directory of all its complete crates, whose checksums are compared.

    Done twice, or by two processes at a time, it writes the same bytes to the same places.

    Args:
        path: of a growing pack that has no writer, or of one that was cut.

    Raises:
        OSError: it cannot be read or written; it is as it was.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        size = os.fstat(descriptor).st_size
        crates, end, kept = {}, 0, 0
        for crate, infos, after in scan.crates(descriptor, size, verify=True):
            crates[crate], end = infos, after
            kept += after - infos[0].header_offset
        growing = path.name.endswith(form.PART)
        if not crates:
            if growing:
                path.unlink(missing_ok=True)
                offsets_path(path).unlink(missing_ok=True)
            return Recovered(None if growing else path, 0, size)
        data_bytes = end if form.begins_directory(os.pread(descriptor, 4, end)) else size
        entries = [form.entry_of(info) for infos in crates.values() for info in infos]
        finish(descriptor, path, entries, end)
        closed = path.with_name(path.name.removesuffix(form.PART))
        return Recovered(closed, len(crates), data_bytes - kept)
    finally:
        os.close(descriptor)


def _is_mine(path: Path) -> bool:
    """Return whether it is a file of this user, and not a link."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()


def _is_cut(path: Path) -> bool:
    """Return whether a pack begins as one of ours and does not end as one."""
    try:
        with path.open("rb") as stream:
            begins = isinstance(form.parse_local(stream.read(1 << 16)), form.LocalHeader)
            end = len(form.end_records(0, 0, 0))
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - end))
            return begins and not form.ends_pack(stream.read())
    except OSError:
        return False
