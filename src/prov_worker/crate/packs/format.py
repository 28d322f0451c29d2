"""The bytes and the names of a pack: an ordinary zip file of ordinary step crates.

Records are those of PKWARE's APPNOTE.TXT 6.3.10 (4.3.7 local header, 4.3.12 central directory, 4.3.14 to 4.3.16 its
end). Each has the fields of Zip64, so that no pack is of another form because it has grown. Sizes stand in front of the
data: what is written can be found again without the central directory, which comes last.
"""

from __future__ import annotations

import stat
import struct
import time
import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from prov_worker.attempt import AttemptId
from prov_worker.crate import vocabulary as v
from prov_worker.crate.publish import Attempt

SUFFIX: Final = ".crates" + v.ZIP_SUFFIX
#: What is added to the name while the pack grows, and to that of the file which says how far it is.
PART: Final = ".part"
OFFSETS: Final = ".offsets"
#: Beginning of a pack's comment, and of the first line of its file of offsets; the version follows.
MARK: Final = "prov_worker pack "
VERSION: Final = 1

_LOCAL = struct.Struct("<IHHHHHIIIHH")
_LOCAL_SIGNATURE = 0x04034B50
_CENTRAL = struct.Struct("<IBBHHHHHIIIHHHHHII")
_CENTRAL_SIGNATURE = 0x02014B50
_LOCAL_ZIP64 = struct.Struct("<HHQQ")
_CENTRAL_ZIP64 = struct.Struct("<HHQQQ")
_END64 = struct.Struct("<IQBBHIIQQQQ")
_LOCATOR = struct.Struct("<IIQI")
_END = struct.Struct("<IHHHHIIH")
_IN_ZIP64, _IN_ZIP64_SHORT = 0xFFFFFFFF, 0xFFFF
_NEEDS, _UNIX, _UTF8 = 45, 3, 0x800
_MODE = (stat.S_IFREG | 0o644) << 16
#: Extra field of a crate's metadata: which attempt it is of (APPNOTE.TXT 4.5.2; ids above 31 are free to use).
_STAMP = struct.Struct("<HHBIqqB")
_STAMP_ID = 0x7677
_STAMP_VERSION = 1
#: Verdicts by their number in a stamp; new ones are appended.
_KINDS = ("", "lost", "unknown")
#: Longest name of a member, as its field has 16 bits.
MAX_NAME_BYTES: Final = 0xFFFF
#: How a local header begins.
SIGNATURE: Final = _LOCAL_SIGNATURE.to_bytes(4, "little")
#: Fields of a local header before its name.
LOCAL_BYTES: Final = _LOCAL.size


@dataclass(frozen=True, slots=True)
class Packed:
    """The content of a file as it stands in a zip.

    Attributes:
        method: ``zipfile.ZIP_STORED`` or ``zipfile.ZIP_DEFLATED``.
        crc: of the content.
        size: of the content in bytes.
        data: as stored.
    """

    method: int
    crc: int
    size: int
    data: bytes

    @classmethod
    def of(cls, content: bytes, level: int = 1) -> Packed:
        """Deflate content (RFC 1951), unless that makes it no shorter."""
        deflate = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
        data = deflate.compress(content) + deflate.flush()
        crc = zlib.crc32(content)
        if len(data) < len(content):
            return cls(zipfile.ZIP_DEFLATED, crc, len(content), data)
        return cls(zipfile.ZIP_STORED, crc, len(content), content)


def is_pack(name: str) -> bool:
    """Return whether a file of this name is a pack, closed or growing."""
    return name.removesuffix(PART).endswith(SUFFIX) and not name.startswith(".")


def encode_stamp(attempt: Attempt) -> bytes:
    """Return the extra field that says which attempt a crate is of."""
    number, kind = attempt.id.attempt, attempt.verdict
    start_ns, end_ns = attempt.id.start_ns, attempt.end_ns
    body = (_STAMP_VERSION, number & 0xFFFFFFFF, start_ns, end_ns, _KINDS.index(kind))
    return _STAMP.pack(_STAMP_ID, _STAMP.size - 4, *body)


def stamp_in(extra: bytes, task_id: str) -> Attempt | None:
    """Return the attempt that an extra field states; None if it states none."""
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, at)
        if kind == _STAMP_ID and size == _STAMP.size - 4 and at + _STAMP.size <= len(extra):
            _, _, version, number, start_ns, end_ns, verdict = _STAMP.unpack_from(extra, at)
            if version != _STAMP_VERSION or verdict >= len(_KINDS):
                return None
            return Attempt(AttemptId(task_id, number, start_ns), end_ns, _KINDS[verdict])
        at += 4 + size
    return None


def dos_time(time_ns: int) -> tuple[int, int]:
    """Return time and date as zip files have them, in UTC: two seconds exact, from 1980 to 2107."""
    return _dos_time(min(max(time_ns // 1_000_000_000, 315_532_800), 4_354_819_198))


@lru_cache(maxsize=64)
def _dos_time(whole: int) -> tuple[int, int]:
    year, month, day, hour, minute, second = time.gmtime(whole)[:6]
    return hour << 11 | minute << 5 | second >> 1, (year - 1980) << 9 | month << 5 | day


def local_header(name: bytes, packed: Packed, moment: tuple[int, int], stamp: bytes = b"") -> bytes:
    """Return what stands in front of a member's data.

    Args:
        name: of the member, in UTF-8.
        packed: its content.
        moment: of :func:`dos_time`.
        stamp: of :func:`encode_stamp`.
    """
    return local_header_of(name, packed.method, packed.crc, (packed.size, len(packed.data)), moment, stamp)


def local_header_of(
    name: bytes, method: int, crc: int, sizes: tuple[int, int], moment: tuple[int, int], stamp: bytes = b""
) -> bytes:
    """Return the :func:`local_header` of a member's method, checksum, and sizes: of its content, and as stored."""
    extra = _LOCAL_ZIP64.pack(1, 16, *sizes) + stamp
    head = (_LOCAL_SIGNATURE, _NEEDS, _UTF8, method, *moment, crc, _IN_ZIP64, _IN_ZIP64)
    return _LOCAL.pack(*head, len(name), len(extra)) + name + extra


def central_entry(
    name: bytes, method: int, crc: int, sizes: tuple[int, int, int], moment: tuple[int, int], stamp: bytes = b""
) -> bytes:
    """Return a member's entry in the central directory.

    Args:
        name: of the member, in UTF-8.
        method: as of :class:`Packed`.
        crc: as of :class:`Packed`.
        sizes: of the content, of what is stored, and where its local header begins.
        moment: of :func:`dos_time`.
        stamp: of :func:`encode_stamp`.
    """
    extra = _CENTRAL_ZIP64.pack(1, 24, *sizes) + stamp
    head = (_CENTRAL_SIGNATURE, _NEEDS, _UNIX, _NEEDS, _UTF8, method, *moment, crc, _IN_ZIP64, _IN_ZIP64)
    return _CENTRAL.pack(*head, len(name), len(extra), 0, 0, 0, _MODE, _IN_ZIP64) + name + extra


#: What a pack has as its comment.
COMMENT: Final = f"{MARK}{VERSION}".encode()


def end_records(count: int, size: int, offset: int, comment: bytes = COMMENT) -> bytes:
    """Return what ends a pack.

    Args:
        count: number of entries of the central directory.
        size: of the central directory in bytes.
        offset: where it begins.
        comment: of the file.
    """
    end64 = _END64.pack(0x06064B50, _END64.size - 12, _NEEDS, _UNIX, _NEEDS, 0, 0, count, count, size, offset)
    locator = _LOCATOR.pack(0x07064B50, 0, offset + size, 1)
    short = (_IN_ZIP64_SHORT, _IN_ZIP64_SHORT, _IN_ZIP64, _IN_ZIP64, len(comment))
    return end64 + locator + _END.pack(0x06054B50, 0, 0, *short) + comment


def directory_of(end: bytes) -> tuple[int, int, int] | None:
    """Return number of entries, size and offset of a central directory, of what :func:`end_records` gave."""
    if len(end) < _END64.size:
        return None
    *_, count, size, offset = _END64.unpack_from(end)
    return count, size, offset


def begins_directory(data: bytes) -> bool:
    """Return whether bytes of a pack are the beginning of its central directory, be it cut."""
    signature = _CENTRAL_SIGNATURE.to_bytes(4, "little")
    return data[: len(signature)] == signature[: len(data)]


def ends_pack(data: bytes) -> bool:
    """Return whether the last bytes of a file are the end of a pack, of whatever version."""
    return data.startswith(b"PK\6\6") and f"{MARK}".encode() in data


@dataclass(frozen=True, slots=True)
class LocalHeader:
    """A local header, read.

    Attributes:
        info: the member, as :mod:`zipfile` describes those of a central directory; without ``header_offset``.
        data_at: where its data begin, from the beginning of the header.
    """

    info: zipfile.ZipInfo
    data_at: int


def parse_local(data: bytes, start: int = 0) -> LocalHeader | int | None:
    """Read a local header that this module wrote.

    Args:
        data: bytes that hold its begin.
        start: where it begins.

    Returns:
        The header; if it is longer than ``data``, its length; None if there is none, or one of another form.
    """
    if len(data) - start < _LOCAL.size:
        return _LOCAL.size
    signature, needs, flags, method, hour, day, crc, _, _, name_size, extra_size = _LOCAL.unpack_from(data, start)
    if (signature, needs, flags) != (_LOCAL_SIGNATURE, _NEEDS, _UTF8) or extra_size < _LOCAL_ZIP64.size:
        return None
    length = int(_LOCAL.size + name_size + extra_size)
    if len(data) - start < length:
        return length
    name_at, end = start + _LOCAL.size, start + length
    extra = data[name_at + name_size : end]
    kind, extent, size, stored = _LOCAL_ZIP64.unpack_from(extra)
    if (kind, extent) != (1, 16) or method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return None
    moment = moment_from(hour, day)
    try:
        name = data[name_at : name_at + name_size].decode()
        info = zipfile.ZipInfo(name, moment)
    except (UnicodeDecodeError, ValueError):
        return None
    if info.filename != name:
        return None  # a null byte, by which the class cuts a name
    info.compress_type, info.CRC, info.file_size, info.compress_size = method, crc, size, stored
    info.flag_bits, info.extra = flags, extra[_LOCAL_ZIP64.size :]
    info.external_attr = _MODE
    return LocalHeader(info, length)


def data_begin(header: bytes, offset: int) -> int | None:
    """Return where the data of a member begin; None if no local header, of whatever program, begins at an offset.

    Args:
        header: bytes from there on, :data:`LOCAL_BYTES` of them.
        offset: where the header begins.
    """
    if len(header) < _LOCAL.size or not header.startswith(SIGNATURE):
        return None
    *_, name_size, extra_size = _LOCAL.unpack(header[: _LOCAL.size])
    return int(offset + _LOCAL.size + name_size + extra_size)


def moment_from(hour: int, day: int) -> tuple[int, int, int, int, int, int]:
    """Return time and date of :func:`dos_time` as :mod:`zipfile` has them."""
    return (day >> 9) + 1980, day >> 5 & 0xF, day & 0x1F, hour >> 11, hour >> 5 & 0x3F, (hour & 0x1F) * 2


def moment_of(info: zipfile.ZipInfo) -> tuple[int, int]:
    """Return time and date of a member as :func:`dos_time` does."""
    year, month, day, hour, minute, second = info.date_time
    return hour << 11 | minute << 5 | second >> 1, (year - 1980) << 9 | month << 5 | day


def entry_of(info: zipfile.ZipInfo) -> bytes:
    """Return the central entry of a member that :func:`parse_local` or :mod:`zipfile` read."""
    moment, sizes = moment_of(info), (info.file_size, info.compress_size, info.header_offset)
    return central_entry(info.filename.encode(), info.compress_type, info.CRC, sizes, moment, only_stamp(info.extra))


def only_stamp(extra: bytes) -> bytes:
    """Return the part of an extra field that is a stamp; empty if there is none."""
    attempt = stamp_in(extra, "")
    return b"" if attempt is None else encode_stamp(attempt)
