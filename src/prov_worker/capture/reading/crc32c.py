"""CRC-32C (Castagnoli), as RFC 3720 has it, and masked as TFRecord files do. The standard library has none.

Four bytes at a time by two tables of 65,536 entries.
"""

from __future__ import annotations

import sys
from array import array
from functools import lru_cache

_POLYNOMIAL = 0x82F63B78
_ALL = 0xFFFFFFFF
_MASK_DELTA = 0xA282EAD8


@lru_cache(maxsize=1)
def _tables() -> tuple[array[int], array[int], list[int]]:
    """Return what the lower and the upper half of four bytes do to a checksum, and what one byte does."""
    byte_table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
        byte_table.append(crc)
    one_more = [crc >> 8 ^ byte_table[crc & 0xFF] for crc in byte_table]
    upper = array("I", [one_more[pair & 0xFF] ^ byte_table[pair >> 8] for pair in range(65536)])
    lower = array("I", [crc >> 16 ^ upper[crc & 0xFFFF] for crc in upper])
    return lower, upper, byte_table


def crc32c(data: bytes) -> int:
    """Return the checksum of bytes."""
    lower, upper, byte_table = _tables()
    crc = _ALL
    whole = len(data) & ~3
    fours = array("I", data[:whole])
    if sys.byteorder == "big":
        fours.byteswap()
    for four in fours:
        crc ^= four
        crc = lower[crc & 0xFFFF] ^ upper[crc >> 16]
    for byte in data[whole:]:
        crc = crc >> 8 ^ byte_table[(crc ^ byte) & 0xFF]
    return crc ^ _ALL


@lru_cache(maxsize=4096)
def crc32c_of_length(data: bytes) -> int:
    """Return the checksum of a length: most records of a file have one of a few."""
    return crc32c(data)


def masked(crc: int) -> int:
    """Return a checksum as it stands in a TFRecord file (tensorflow, ``lib/hash/crc32c.h``)."""
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & _ALL
