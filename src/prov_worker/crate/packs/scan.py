"""Finds the members of a pack by their local headers: of one that grows, or that was cut."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterator

from prov_worker.crate import vocabulary as v
from prov_worker.crate.packs.format import LOCAL_BYTES, SIGNATURE, LocalHeader, parse_local

#: Headers are read in blocks: most crates are smaller.
_BLOCK = 64 << 10
_CHUNK = 1 << 20


class _Window:
    """A part of a pack in memory, in which headers are looked for."""

    def __init__(self, descriptor: int, end: int) -> None:
        self._descriptor = descriptor
        self._end = end
        self._data, self._base = b"", 0

    def next(self, at: int) -> int | None:
        """Return where the next local header after an offset may begin; None if there is none."""
        while at < self._end:
            data = os.pread(self._descriptor, min(_CHUNK, self._end - at), at)
            position = data.find(SIGNATURE)
            if position >= 0:
                return at + position
            if len(data) < len(SIGNATURE):
                return None
            at += len(data) - len(SIGNATURE) + 1
        return None

    def header(self, at: int) -> LocalHeader | None:
        """Return the local header at an offset; None if none lies there whole."""
        need = LOCAL_BYTES
        while at + need <= self._end:
            if not self._base <= at <= at + need <= self._base + len(self._data):
                self._base = at
                self._data = os.pread(self._descriptor, min(max(_BLOCK, need), self._end - at), at)
                if len(self._data) < need:
                    return None
            header = parse_local(self._data, at - self._base)
            if not isinstance(header, int):
                return header
            need = header
        return None


def members(descriptor: int, end: int, *, damaged: bool = False) -> Iterator[tuple[zipfile.ZipInfo, int, int]]:
    """Yield each member that lies whole before an offset, where its data begin, and where they end.

    Args:
        descriptor: of the pack.
        end: offset; what is behind it is not looked at.
        damaged: go on behind bytes that are not a member.
    """
    window = _Window(descriptor, end)
    at: int | None = 0
    while at is not None:
        header = window.header(at)
        after = end + 1 if header is None else at + header.data_at + header.info.compress_size
        if header is None or after > end:
            at = window.next(at + 1) if damaged else None
            continue
        header.info.header_offset = at
        yield header.info, at + header.data_at, after
        at = after


def crates(descriptor: int, end: int, *, verify: bool) -> Iterator[tuple[str, list[zipfile.ZipInfo], int]]:
    """Yield the complete crates of a pack: name of the directory, members, and where the last one ends.

    A crate's metadata are its last member; without them it is not complete.

    Args:
        descriptor: of the pack.
        end: offset; what is behind it is not looked at.
        verify: read all content, and leave out crates that differ from their checksums.
    """
    gathered: list[zipfile.ZipInfo] = []
    sound = True
    top = ""
    for info, data_at, after in members(descriptor, end, damaged=verify):
        directory, slash, relative = info.filename.partition("/")
        if directory != top or not slash:
            gathered, sound, top = [], True, directory
        gathered.append(info)
        sound = sound and not (verify and not _is_sound(descriptor, info, data_at))
        if relative == v.METADATA_FILE:
            if sound:
                yield top, gathered, after
            gathered, sound, top = [], True, ""


def _is_sound(descriptor: int, info: zipfile.ZipInfo, at: int) -> bool:
    """Return whether the content of a member has the size and the checksum that its header states."""
    inflate = zlib.decompressobj(-zlib.MAX_WBITS) if info.compress_type == zipfile.ZIP_DEFLATED else None
    left, size, crc = info.compress_size, 0, 0
    while left > 0:
        data = os.pread(descriptor, min(left, _CHUNK), at)
        if not data:
            return False
        at, left = at + len(data), left - len(data)
        while data:
            try:
                content = data if inflate is None else inflate.decompress(data, _CHUNK)
            except zlib.error:
                return False
            data = b"" if inflate is None else inflate.unconsumed_tail
            size += len(content)
            crc = zlib.crc32(content, crc)
            if size > info.file_size:
                return False
    return (size, crc) == (info.file_size, info.CRC) and (inflate is None or inflate.eof)
