"""Deflates texts of which many begin alike: the beginning is deflated once."""

from __future__ import annotations

import zipfile
import zlib
from typing import Any

from prov_worker.crate.packs.format import Packed

#: Beginnings that are remembered; each takes 200 KB or so.
_MOST = 16
_LEVEL = 6
#: What a compressor has in memory is copied for each text. The window is as large as most texts, and no part is so
#: large that malloc(3) asks the kernel for it each time, which takes longer than to deflate.
_MEM_LEVEL = 8
_WINDOW_BITS, _MOST_SHARED = 14, 10_000


class Deflater:
    """Remembers the state of the compressor behind each beginning (zlib's deflateCopy).

    The result is an ordinary stream of RFC 1951, as short as that of the whole text at once.
    """

    def __init__(self) -> None:
        #: By beginning: the compressor behind it, its output so far, and the checksum so far.
        self._states: dict[bytes, tuple[Any, bytes, int]] = {}

    def packed(self, shared: bytes, own: bytes) -> Packed:
        """Return a file as it stands in a zip.

        Args:
            shared: its beginning.
            own: the rest.
        """
        state = self._states.get(shared)
        if state is None:
            bits = _WINDOW_BITS if len(shared) <= _MOST_SHARED else zlib.MAX_WBITS
            compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, -bits, _MEM_LEVEL)
            state = compressor, compressor.compress(shared), zlib.crc32(shared)
            if len(self._states) >= _MOST:
                del self._states[next(iter(self._states))]
            self._states[shared] = state
        compressor, begun, crc = state
        compressor = compressor.copy()
        data = begun + compressor.compress(own) + compressor.flush()
        size, crc = len(shared) + len(own), zlib.crc32(own, crc)
        if len(data) < size:
            return Packed(zipfile.ZIP_DEFLATED, crc, size, data)
        return Packed(zipfile.ZIP_STORED, crc, size, shared + own)
