"""A pack of crates that lie elsewhere: an archive of them, or a pack without those that go."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from prov_worker.crate import vocabulary as v
from prov_worker.crate.packs import format as form
from prov_worker.crate.packs.raw import RawZip
from prov_worker.crate.publish import read_attempt
from prov_worker.crate.sources import DirectorySource, PackSource, Source, read
from prov_worker.crate.staging import staging_name


class PackCopy:
    """A pack in the making, under a hidden name until it is complete.

    Args:
        target: its path; what is there is replaced.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._hidden = target.with_name(staging_name(target.name))
        self._stream = self._hidden.open("xb")
        self._zip = RawZip(self._stream)

    def add(self, source: Source) -> None:
        """Add a crate: of a pack as it is stored there, under the name that it has there.

        Raises:
            CrateError: it cannot be read.
            OSError: there is no room.
        """
        if isinstance(source, PackSource):
            for relative in sorted(source.names(), key=lambda name: name == v.METADATA_FILE):
                info, data = source.stored(relative)
                packed = form.Packed(info.compress_type, info.CRC, info.file_size, data)
                self._zip.add(info.filename, packed, form.moment_of(info), form.only_stamp(info.extra))
            return
        attempt = read_attempt(source.path) if isinstance(source, DirectorySource) else None
        moment = form.dos_time(0 if attempt is None else attempt.end_ns)
        files = sorted(source.files(), key=lambda file: file[0] == v.METADATA_FILE)
        for relative, size in files:
            stamp = form.encode_stamp(attempt) if attempt is not None and relative == v.METADATA_FILE else b""
            content = form.Packed.of(read(source, relative, size), level=6)
            self._zip.add(f"{v.crate_name(source.key)}/{relative}", content, moment, stamp)

    def close(self) -> None:
        """Write its end, have it on disk, and give it its name.

        Raises:
            OSError: there is no room; nothing is left behind.
        """
        try:
            self._zip.finish(form.COMMENT)
            self._stream.close()
            os.replace(self._hidden, self._target)
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Leave nothing behind."""
        self._stream.close()
        with contextlib.suppress(FileNotFoundError):
            self._hidden.unlink()
