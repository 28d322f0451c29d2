"""Deflates texts of which many begin alike: the beginning is deflated once."""

from __future__ import annotations

import zipfile
import zlib
from typing import Any

from prov_worker.crate.packs.format import Packed

#: Beginnings that are remembered; each takes some 300 KB.
_MOST = 4
_LEVEL = 6
#: As much as zlib takes: no block ends within the beginning, so that its codes are those of the whole text.
_MEM_LEVEL = 9


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
            compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, _MEM_LEVEL)
            state = compressor, compressor.compress(shared), zlib.crc32(shared)
            if len(self._states) >= _MOST:
                self._states.clear()
            self._states[shared] = state
        compressor, begun, crc = state
        compressor = compressor.copy()
        data = begun + compressor.compress(own) + compressor.flush()
        size, crc = len(shared) + len(own), zlib.crc32(own, crc)
        if len(data) < size:
            return Packed(zipfile.ZIP_DEFLATED, crc, size, data)
        return Packed(zipfile.ZIP_STORED, crc, size, shared + own)
