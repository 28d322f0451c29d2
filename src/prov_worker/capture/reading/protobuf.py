"""Fields of a protocol buffer message, without its description (protobuf.dev, "Encoding")."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

_DOUBLE, _FLOAT = struct.Struct("<d"), struct.Struct("<f")
_FIXED64, _FIXED32 = struct.Struct("<Q"), struct.Struct("<I")
VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5
#: Number, wire type and value: an ``int`` of a varint, else ``bytes``.
Field = tuple[int, int, Any]


def fields(message: bytes) -> Iterator[Field]:
    """Return number, wire type and raw value of each field, in their order; fields of any number are given.

    Raises:
        ValueError: it is not a message.
    """
    at, end = 0, len(message)
    while at < end:
        key, at = varint(message, at)
        kind = key & 7
        value: int | bytes
        if kind == VARINT:
            value, at = varint(message, at)
        elif kind in (EIGHT, FOUR):
            size = 8 if kind == EIGHT else 4
            value = message[at : at + size]
            at += size
        elif kind == BYTES:
            size, at = varint(message, at)
            value = message[at : at + size]
            at += size
        else:
            raise ValueError(f"a field of wire type {kind}")
        if at > end:
            raise ValueError("a field that ends beyond its message")
        yield key >> 3, kind, value


def varint(message: bytes, at: int) -> tuple[int, int]:
    """Return a number and where what follows it begins.

    Raises:
        ValueError: it does not end in the message, or is too long.
    """
    value = shift = 0
    try:
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at
            shift += 7
            if shift > 63:
                raise ValueError("a number of more than 64 bits")
    except IndexError:
        raise ValueError("a number that ends beyond its message") from None


def signed(value: int) -> int:
    """Return what an ``int64`` field says."""
    return value - (1 << 64) if value >> 63 else value


def double(data: bytes) -> float:
    """Return what a ``double`` field says."""
    return float(_DOUBLE.unpack(data)[0])


def single(data: bytes) -> float:
    """Return what a ``float`` field says."""
    return float(_FLOAT.unpack(data)[0])
