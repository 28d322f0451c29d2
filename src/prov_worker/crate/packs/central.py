"""Reads the central directory of a pack that this package wrote: several times as quick as :mod:`zipfile`.

A directory of any other form, and one in which anything is unusual, is left to :mod:`zipfile`.
"""

from __future__ import annotations

import os
import stat
import struct
import zipfile
from typing import Final

from prov_worker.crate.packs import format as form

#: The fields of an entry (APPNOTE.TXT 4.3.12) that differ from member to member, and what is between them.
_ENTRY = struct.Struct("<10sHHHI8sHH14s")
_ZIP64 = struct.Struct("<4sQQQ")
_SAMPLE: Final = form.central_entry(b"", zipfile.ZIP_STORED, 0, (0, 0, 0), (0, 0))
_BEGIN, _, _, _, _, _SIZES, _, _, _REST = _ENTRY.unpack_from(_SAMPLE)
_EXTRA: Final = _SAMPLE[_ENTRY.size : _ENTRY.size + 4]
_END_BYTES: Final = len(form.end_records(0, 0, 0))
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
#: What is alike in all members.
_ALIKE: Final = (
    ("flag_bits", 0x800),
    ("external_attr", (stat.S_IFREG | 0o644) << 16),
    ("internal_attr", 0),
    ("volume", 0),
    ("create_system", 3),
    ("create_version", 45),
    ("extract_version", 45),
    ("reserved", 0),
    ("comment", b""),
)


def read_central(descriptor: int, size: int) -> list[zipfile.ZipInfo] | None:
    """Return the members of a closed pack, in the order of its directory.

    Args:
        descriptor: of the pack.
        size: of the pack.

    Returns:
        None if :mod:`zipfile` has to read it.

    Raises:
        OSError: it cannot be read.
    """
    if size < _END_BYTES:
        return None
    end = os.pread(descriptor, _END_BYTES, size - _END_BYTES)
    counted = form.directory_of(end)
    if counted is None:
        return None
    count, length, offset = counted
    if offset + length + _END_BYTES != size or end != form.end_records(count, length, offset):
        return None
    data = os.pread(descriptor, length, offset)
    return _members(data, count) if len(data) == length else None


def _members(data: bytes, count: int) -> list[zipfile.ZipInfo] | None:
    infos: list[zipfile.ZipInfo] = []
    at, end = 0, len(data)
    moments: dict[tuple[int, int], tuple[int, int, int, int, int, int]] = {}
    while at + _ENTRY.size + _ZIP64.size <= end:
        begin, method, hour, day, crc, sizes, name_size, extra_size, rest = _ENTRY.unpack_from(data, at)
        name_at = at + _ENTRY.size
        extra_at = name_at + name_size
        at = extra_at + extra_size
        if begin != _BEGIN or sizes != _SIZES or rest != _REST or extra_size < _ZIP64.size or at > end:
            return None
        extra, content, stored, offset = _ZIP64.unpack_from(data, extra_at)
        if extra != _EXTRA or method not in _METHODS:
            return None
        try:
            name = data[name_at:extra_at].decode()
        except UnicodeDecodeError:
            return None
        if "./" in name:
            return None  # it may be a path with a step that is none
        moment = moments.get((hour, day))
        if moment is None:
            moment = moments[hour, day] = form.moment_from(hour, day)
        # without the constructor, which takes longer than all of this
        info = zipfile.ZipInfo.__new__(zipfile.ZipInfo)
        info.filename = name
        info.date_time, info.compress_type, info.CRC = moment, method, crc
        info.file_size, info.compress_size, info.header_offset = content, stored, offset
        info.extra = data[extra_at:at]
        for field, value in (("orig_filename", name), *_ALIKE):
            setattr(info, field, value)
        infos.append(info)
    return infos if at == end and len(infos) == count else None
