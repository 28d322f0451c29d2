"""Writes a zip file of members that are given as they are stored, or as content; it appears whole or not at all."""

from __future__ import annotations

import os
import zipfile
import zlib
from pathlib import Path
from typing import IO

from prov_worker.crate.packs import format as form

#: A larger file is deflated piece by piece.
_WHOLE_BYTES = 16 << 20
_CHUNK = 1 << 20
#: Deflates to less for a quarter of the speed; for what is kept.
_LEVEL = 6
_MOMENT = form.dos_time(0)


class RawZip:
    """A zip file in the making.

    Args:
        stream: empty, to be written and to be sought in.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._at = 0
        #: The central directory so far, and the number of its entries.
        self._directory = bytearray()
        self._count = 0

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._at

    def add(self, name: str, packed: form.Packed, moment: tuple[int, int] = _MOMENT, stamp: bytes = b"") -> None:
        """Add a member.

        Args:
            name: of the member.
            packed: its content.
            moment: of :func:`prov_worker.crate.packs.format.dos_time`.
            stamp: of :func:`prov_worker.crate.packs.format.encode_stamp`.
        """
        encoded = name.encode()
        header = form.local_header(encoded, packed, moment, stamp)
        self._stream.write(header)
        self._stream.write(packed.data)
        sizes = (packed.size, len(packed.data), self._at)
        self._note(form.central_entry(encoded, packed.method, packed.crc, sizes, moment, stamp))
        self._at += len(header) + len(packed.data)

    def add_file(self, name: str, path: Path) -> None:
        """Add a file, deflated; a large one is not read whole."""
        if path.stat().st_size <= _WHOLE_BYTES:
            self.add(name, form.Packed.of(path.read_bytes(), _LEVEL))
            return
        encoded, begin = name.encode(), self._at
        length = len(form.local_header(encoded, form.Packed(zipfile.ZIP_DEFLATED, 0, 0, b""), _MOMENT))
        self._stream.seek(begin + length)
        deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        crc = size = stored = 0
        with path.open("rb") as source:
            while chunk := source.read(_CHUNK):
                crc, size = zlib.crc32(chunk, crc), size + len(chunk)
                stored += self._stream.write(deflate.compress(chunk))
        stored += self._stream.write(deflate.flush())
        self._stream.seek(begin)
        self._stream.write(form.local_header_of(encoded, zipfile.ZIP_DEFLATED, crc, (size, stored), _MOMENT))
        self._at = begin + length + stored
        self._stream.seek(self._at)
        self._note(form.central_entry(encoded, zipfile.ZIP_DEFLATED, crc, (size, stored, begin), _MOMENT))

    def _note(self, entry: bytes) -> None:
        self._directory += entry
        self._count += 1

    def finish(self, comment: bytes) -> None:
        """Write the central directory, and have all on disk.

        Args:
            comment: of the zip.
        """
        self._stream.write(self._directory)
        self._stream.write(form.end_records(self._count, len(self._directory), self._at, comment))
        self._stream.flush()
        os.fsync(self._stream.fileno())
