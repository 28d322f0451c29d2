"""Reads members of a pack where they lie, and compares them with what the pack says of them."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
import zlib
from typing import IO, Any, cast

from prov_worker.crate.packs import format as form
from prov_worker.files import sha256_of

#: Larger members are read in pieces.
_WHOLE_BYTES = 8 << 20
#: Members no larger than the first may be the same in many crates; so many of them are kept.
_KEPT_BYTES, _KEPT = 16 << 10, 128
#: Local headers are mostly shorter: one read is enough for header and data.
_HEADER_BYTES = 400


class PackMembers:
    """The members of a pack that is open; closed with the last reference to it."""

    def __init__(self) -> None:
        self._descriptor = -1
        #: By checksum, size and method, the bytes of a member and the digest of its content.
        self._digests: dict[tuple[int, int, int], tuple[bytes, str]] = {}

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def open(self, info: zipfile.ZipInfo) -> IO[bytes]:
        """Open a member.

        Raises:
            OSError: it cannot be read.
            zipfile.BadZipFile: it differs from what the pack says of it.
        """
        if info.file_size <= _WHOLE_BYTES and info.compress_size <= _WHOLE_BYTES:
            return io.BytesIO(_content(self.stored(info), info))
        head = os.pread(self._descriptor, form.LOCAL_BYTES, info.header_offset)
        start = form.data_begin(head, info.header_offset)
        if start is None:
            raise zipfile.BadZipFile("no member begins where one should")
        return cast("IO[bytes]", zipfile.ZipExtFile(cast("Any", _Extent(self, start)), "r", info, close_fileobj=True))

    def digest(self, info: zipfile.ZipInfo) -> tuple[str, int]:
        """Return hex sha256 and size of a member's content; that of equal bytes is taken once.

        Raises:
            OSError: it cannot be read.
            zipfile.BadZipFile: it differs from what the pack says of it.
        """
        if info.compress_size > _KEPT_BYTES:
            with self.open(info) as stream:
                return sha256_of(stream), info.file_size
        key = info.CRC, info.file_size, info.compress_type
        data = self.stored(info)
        kept = self._digests.get(key)
        if kept is None or kept[0] != data:
            if len(self._digests) >= _KEPT:
                self._digests.clear()
            kept = self._digests[key] = data, hashlib.sha256(_content(data, info)).hexdigest()
        return kept[1], info.file_size

    def bytes_at(self, offset: int, count: int) -> bytes:
        """Return bytes of the pack, fewer at its end.

        Raises:
            OSError: they cannot be read.
        """
        return os.pread(self._descriptor, count, offset)

    def stored(self, info: zipfile.ZipInfo) -> bytes:
        """Return the bytes of a member as they are stored.

        Raises:
            zipfile.BadZipFile: no member begins where one should, or the pack is shorter.
        """
        size = info.compress_size
        block = os.pread(self._descriptor, _HEADER_BYTES + size, info.header_offset)
        start = form.data_begin(block, 0)
        if start is None:
            raise zipfile.BadZipFile("no member begins where one should")
        data = block[start : start + size]
        if len(data) != size:  # behind a long name
            data = os.pread(self._descriptor, size, info.header_offset + start)
        if len(data) != size:
            raise zipfile.BadZipFile("no member lies where one should")
        return data


class _Extent(io.RawIOBase):
    """The stored bytes of one member, read where they lie: a look at a pack has many readers."""

    def __init__(self, pack: PackMembers, start: int) -> None:
        self._pack = pack
        self._at = self._start = start

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at - self._start

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + (self._at if whence == os.SEEK_CUR else self._start)
        return self.tell()

    def readinto(self, buffer: Any) -> int:
        data = self._pack.bytes_at(self._at, len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _content(data: bytes, info: zipfile.ZipInfo) -> bytes:
    """Return the content of a member of a pack, compared with its size and checksum."""
    if info.compress_type == zipfile.ZIP_DEFLATED:
        try:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, info.file_size + 1)
        except zlib.error as error:
            raise zipfile.BadZipFile(str(error)) from None
    elif info.compress_type != zipfile.ZIP_STORED:
        raise NotImplementedError(f"compression method {info.compress_type}")
    if len(data) != info.file_size or zlib.crc32(data) != info.CRC:
        raise zipfile.BadZipFile("its size or checksum is another one")
    return data
