"""A pack of crates that lie elsewhere: an archive of them, or a pack without those that go."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from prov_worker.crate import vocabulary as v
from prov_worker.crate.packs import format as form
from prov_worker.crate.packs.raw import RawZip
from prov_worker.crate.publish import parse_attempt, read_attempt
from prov_worker.crate.sources import DirectorySource, PackSource, Source, read
from prov_worker.crate.sources.comparison import difference
from prov_worker.crate.staging import staging_name
from prov_worker.files import need_new, place_new


class PackCopy:
    """A pack in the making, under a hidden name until it is complete.

    Args:
        target: its path; what is there is replaced.
        new: nothing is replaced.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, target: Path, *, new: bool = False) -> None:
        self._target = target
        self._new = new
        self._hidden = target.with_name(staging_name(target.name))
        self._stream = self._hidden.open("xb")
        self._zip = RawZip(self._stream)
        self._added: dict[str, Source] = {}

    def add(self, source: Source) -> str:
        """Add a crate: of a pack as it is stored there, under the name that it has there.

        Returns:
            The name of its directory; of two crates with one name, the second gets another; a copy of one is not added.

        Raises:
            CrateError: it cannot be read.
            OSError: there is no space.
        """
        name = source.prefix.rstrip("/") if isinstance(source, PackSource) else v.crate_name(source.key)
        names = _further_names(source)
        while name in self._added:
            if difference(source, self._added[name]) is None:
                return name
            name = next(names)
        self._added[name] = source
        if isinstance(source, PackSource):
            for relative in sorted(source.names(), key=lambda name: name == v.METADATA_FILE):
                info, data = source.stored(relative)
                packed = form.Packed(info.compress_type, info.CRC, info.file_size, data)
                self._zip.add(f"{name}/{relative}", packed, form.moment_of(info), form.only_stamp(info.extra))
            return name
        attempt = read_attempt(source.path) if isinstance(source, DirectorySource) else None
        moment = form.dos_time(0 if attempt is None else attempt.end_ns)
        files = sorted(source.files(), key=lambda file: file[0] == v.METADATA_FILE)
        for relative, size in files:
            stamp = form.encode_stamp(attempt) if attempt is not None and relative == v.METADATA_FILE else b""
            content = form.Packed.of(read(source, relative, size), level=6)
            self._zip.add(f"{name}/{relative}", content, moment, stamp)
        return name

    def close(self) -> None:
        """Write its end, have it on disk, and give it its name.

        Raises:
            InputError: it is to be new, and there is something of its name now.
            OSError: there is no space; nothing is left behind.
        """
        try:
            self._zip.finish(form.COMMENT)
            self._stream.close()
            if self._new:
                _place(self._hidden, self._target)
            else:
                os.replace(self._hidden, self._target)
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Leave nothing behind."""
        self._stream.close()
        with contextlib.suppress(FileNotFoundError):
            self._hidden.unlink()


def _place(hidden: Path, target: Path) -> None:
    try:
        place_new(hidden, target)
    except FileExistsError:
        need_new(target)
        raise


def _further_names(source: Source) -> Iterator[str]:
    """Yield names for a crate whose own another one has: those of attempts."""
    task, ordinal = v.split_key(source.key)
    if ordinal is None:
        attempt = parse_attempt(read(source, v.METADATA_FILE))
        ordinal = 1 if attempt is None else attempt.id.attempt
    for number in itertools.count(1):
        yield v.crate_name(v.attempt_key(task, ordinal, number))
