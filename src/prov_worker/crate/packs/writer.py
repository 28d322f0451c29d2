"""Writes one pack: crates are appended, and the central directory ends it.

Each crate is one write(2), and its end is noted beside the pack after it. So whatever kills the writer leaves what was
complete before, and what is not complete is behind the last noted end. Nothing is synced to the disk until the pack is
closed: as with directories, a crate that a power failure takes can be written again from the journal.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

from prov_worker.crate import vocabulary as v
from prov_worker.crate.packs import format as form
from prov_worker.crate.packs.offsets import head_line, offsets_path
from prov_worker.crate.publish import Attempt
from prov_worker.crate.staging import place_name, writer_name

#: A pack is full with so many bytes or crates.
MAX_BYTES = 256 << 20
MAX_CRATES = 10_000
_TRIES = 100_000


class PackWriter:
    """The one writer of one pack. Not for use by several threads at a time.

    Args:
        directory: where the pack appears.
        day: in its name; None takes today, in UTC.

    Attributes:
        part: its path while it grows.
        size: bytes so far.
        opened_at: when it was opened (``time.monotonic``).

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, directory: Path, day: str | None = None) -> None:
        day = day or time.strftime("%Y-%m-%d", time.gmtime())
        self.part, self._descriptor, self._offsets = _create(directory, day)
        self.size = 0
        self.opened_at = time.monotonic()
        self._noted = len(head_line(writer_name()))
        #: By crate: names in it are there once, and a crate that is appended again replaces the earlier.
        self._entries: dict[str, list[bytes]] = {}
        self._attempts: dict[str, Attempt] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def attempt(self, crate: str) -> Attempt | None:
        """Return the attempt that was appended under a name; None if none was."""
        return self._attempts.get(crate)

    @property
    def is_full(self) -> bool:
        """Whether it has as many crates or bytes as a pack should have."""
        return len(self._entries) >= MAX_CRATES or self.size >= MAX_BYTES

    @property
    def closed_path(self) -> Path:
        """Path of the pack once it is closed."""
        return self.part.with_name(self.part.name.removesuffix(form.PART))

    def append(
        self, crate: str, files: Iterable[tuple[str, form.Packed]], attempt: Attempt | None, time_ns: int
    ) -> None:
        """Append a crate; one of the same name is replaced.

        Args:
            crate: name of its directory.
            files: path and content of each file; the metadata last.
            attempt: which it is of, if that is known.
            time_ns: modification time of the files.

        Raises:
            OSError: there is no space; the pack is as it was.
        """
        moment, stamp = form.dos_time(time_ns), b"" if attempt is None else form.encode_stamp(attempt)
        pieces: list[bytes] = []
        entries: list[bytes] = []
        at = self.size
        for relative, packed in files:
            name = f"{crate}/{relative}".encode()
            marked = stamp if relative == v.METADATA_FILE else b""
            header = form.local_header(name, packed, moment, marked)
            sizes = (packed.size, len(packed.data), at)
            entries.append(form.central_entry(name, packed.method, packed.crc, sizes, moment, marked))
            pieces += (header, packed.data)
            at += len(header) + len(packed.data)
        try:
            write_all(self._descriptor, b"".join(pieces), self.size)
            line = b"%d\n" % at
            write_all(self._offsets, line, self._noted)
        except OSError:
            for descriptor, size in ((self._descriptor, self.size), (self._offsets, self._noted)):
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, size)
            raise
        self._noted += len(line)
        self.size = at
        self._entries[crate] = entries
        if attempt is not None:
            self._attempts[crate] = attempt

    def close(self) -> Path | None:
        """Write the central directory and give the pack its name.

        Returns:
            Its path; None if nothing was appended, and there is no pack.

        Raises:
            OSError: there is no space; the pack stays as it is, to be made whole later.
        """
        try:
            if not self._entries:
                os.unlink(self.part)
                os.unlink(offsets_path(self.part))
                return None
            entries = [entry for crate in self._entries.values() for entry in crate]
            finish(self._descriptor, self.part, entries, self.size)
            return self.closed_path
        finally:
            os.close(self._descriptor)
            os.close(self._offsets)


def _create(directory: Path, day: str) -> tuple[Path, int, int]:
    """Make a pack that no other one has the name of; return its path and descriptors of it and of its offsets."""
    stem = f"{day}-{place_name().replace('~', '-')}"
    flags = os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    for number in range(1, _TRIES):
        part = directory / f"{stem}-{number}{form.SUFFIX}{form.PART}"
        if os.path.lexists(part.with_name(part.name.removesuffix(form.PART))):
            continue
        try:
            offsets = os.open(offsets_path(part), flags | os.O_WRONLY, 0o666)
        except FileExistsError:
            continue
        try:
            if os.path.lexists(part.with_name(part.name.removesuffix(form.PART))):
                raise FileExistsError(part)  # its writer has closed it in between
            write_all(offsets, head_line(writer_name()), None)
            return part, os.open(part, flags | os.O_RDWR, 0o666), offsets
        except BaseException as error:
            os.close(offsets)
            os.unlink(offsets_path(part))
            if not isinstance(error, FileExistsError):
                raise
    raise FileExistsError(f"{directory}/{stem}: no free name for another pack")


def finish(descriptor: int, part: Path, entries: Iterable[bytes], end: int) -> None:
    """End a growing pack: its central directory, and its name.

    Args:
        descriptor: of the pack, to write.
        part: its path.
        entries: of the central directory.
        end: bytes of all crates.

    Raises:
        OSError: there is no space; the pack has its name of before.
    """
    entries = list(entries)
    directory = b"".join(entries)
    try:
        write_all(descriptor, directory + form.end_records(len(entries), len(directory), end), end)
        os.ftruncate(descriptor, end + len(directory) + len(form.end_records(0, 0, 0)))
        os.fsync(descriptor)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, end)
        raise
    os.rename(part, part.with_name(part.name.removesuffix(form.PART)))
    with contextlib.suppress(FileNotFoundError):
        os.unlink(offsets_path(part))


def write_all(descriptor: int, data: bytes, offset: int | None) -> None:
    """Write data whole: at an offset, or where the descriptor stands."""
    view = memoryview(data)
    while view:
        count = os.write(descriptor, view) if offset is None else os.pwrite(descriptor, view, offset)
        view = view[count:]
        offset = None if offset is None else offset + count
