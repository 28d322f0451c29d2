"""Texts that begin alike, deflated as short as each would be alone."""

from __future__ import annotations

import json
import random
import zipfile
import zlib

from prov_worker.crate.packs.deflater import Deflater


def _text(seed: int, size: int) -> bytes:
    generator = random.Random(seed)
    return "".join(generator.choice(("worker ", "node ", '"@id":"#', "bytes ")) for _ in range(size)).encode()


def test_a_text_is_deflated_as_short_as_in_one_piece() -> None:
    deflater = Deflater()
    for shared in (_text(0, 900), b"", *(_text(seed, 300) for seed in range(9)), _text(0, 900)):
        for own in (_text(77, 400), _text(78, 30), b"x" * 70_000):
            packed = deflater.packed(shared, own)
            whole = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
            assert len(packed.data) <= len(whole.compress(shared + own) + whole.flush()) + 64
            assert zlib.decompress(packed.data, -zlib.MAX_WBITS) == shared + own
            assert (packed.crc, packed.size) == (zlib.crc32(shared + own), len(shared + own))
            assert packed.method == zipfile.ZIP_DEFLATED


def test_what_does_not_get_shorter_is_stored() -> None:
    noise = random.Random(1).randbytes(500)
    packed = Deflater().packed(noise[:200], noise[200:])
    assert (packed.method, packed.data, packed.size) == (zipfile.ZIP_STORED, noise, 500)


def test_beginnings_are_not_remembered_without_end() -> None:
    deflater = Deflater()
    for number in range(100):
        deflater.packed(json.dumps([number] * 50).encode(), b"end" * 20)
    assert len(deflater._states) <= 16
