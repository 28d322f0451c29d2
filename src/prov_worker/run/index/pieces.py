"""Many crates in pieces, each of which any process, here or elsewhere, can read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from prov_worker.crate.packs.format import is_pack
from prov_worker.crate.sources import Refuse, Source, each_source
from prov_worker.crate.sources.packs import part_of, signature_of
from prov_worker.errors import CrateError, blaming

#: Crates that one call reads, about: a no-op takes so many bytes of a pack.
CRATES_PER_PIECE = 250
_CRATE_BYTES = 6000


@dataclass(frozen=True, slots=True)
class Piece:
    """What one call reads.

    Attributes:
        paths: of crates, each a directory, a zip or a pack.
        part: if it is one pack, which of its crates, from 0 on, of ``parts``: whichever look gives a crate, it is in
            the same part.
    """

    paths: Sequence[str]
    part: int = 0
    parts: int = 1

    def sources(self, refuse: Refuse) -> Iterator[Source]:
        """Yield the crates; ``refuse`` is called with what cannot be taken."""
        for path in map(Path, self.paths):
            if self.parts == 1:
                yield from each_source(path, refuse)
                continue
            try:
                with blaming(path):
                    yield from part_of(path, self.part, self.parts)
            except CrateError as error:
                refuse(str(path), error)


def pieces(paths: Iterable[str], *, cut: bool, per_piece: int = CRATES_PER_PIECE) -> Iterator[Piece]:
    """Yield paths in pieces.

    Args:
        paths: of crates.
        cut: have several pieces of a pack, for several processes.
        per_piece: crates of one piece.
    """
    plain: list[str] = []
    for path in paths:
        if not is_pack(os.path.basename(path)):
            plain.append(path)
            continue
        parts = max(1, signature_of(Path(path))[0] // (per_piece * _CRATE_BYTES)) if cut else 1
        yield from (Piece([path], part, parts) for part in range(parts))
    yield from (Piece(plain[at : at + per_piece]) for at in range(0, len(plain), per_piece))
