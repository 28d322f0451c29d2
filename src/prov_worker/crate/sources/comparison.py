"""Whether a crate is the same as another one, or as it was sealed: all of its files, byte for byte."""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from prov_worker.crate import vocabulary as v
from prov_worker.crate.sources.base import Source, digest, read
from prov_worker.crate.sources.directories import DirectorySource
from prov_worker.crate.sources.lookup import Refuse, each_source
from prov_worker.crate.sources.packs import PackSource
from prov_worker.errors import CrateError


def difference(source: Source, other: Source) -> str | None:
    """Return the path of a file that only one of two crates has, or that differs; None if they are the same.

    Raises:
        CrateError: a file of one of them cannot be read.
    """
    sizes, others = dict(source.files()), dict(other.files())
    for name in sorted(sizes.keys() | others.keys()):
        if sizes.get(name) != others.get(name) or digest(source, name) != digest(other, name):
            return name
    return None


def change(source: Source, digests: Mapping[str, bytes]) -> str | None:
    """Return the path of a file of a crate that was added, removed or changed; None if it is as it was.

    Args:
        source: the crate.
        digests: sha256 by relative path, of all files that it had.

    Raises:
        CrateError: a file cannot be read.
    """
    names = {name for name, _ in source.files()}
    for name in sorted(names | digests.keys()):
        if name not in names or digests.get(name) != bytes.fromhex(digest(source, name)[0]):
            return name
    return None


def distinct_sources(
    candidates: Sequence[Path], refuse: Refuse, *, whole: bool = False, advance: Callable[[], None] = lambda: None
) -> Iterator[Source]:
    """Yield the step crates at some candidates; one that is a directory and in a pack beside it is given once.

    They are taken for the same if their metadata are. Names that are not text and links are taken.

    Args:
        candidates: as :func:`prov_worker.crate.sources.candidates` gives them.
        refuse: called with what cannot be taken; the others are given.
        whole: compare all files: for what looks into them.
        advance: called after each candidate.
    """
    given = set(candidates)
    for candidate in candidates:
        for source in each_source(candidate, refuse, lenient=True):
            if not (isinstance(source, PackSource) and _is_beside(source, given, whole)):
                yield source
        advance()


def _is_beside(source: PackSource, given: set[Path], whole: bool) -> bool:
    info = source.member(v.METADATA_FILE)
    for name in {source.prefix.rstrip("/"), v.crate_name(source.key), source.key}:
        directory = source.path.parent / name
        if directory not in given or not directory.is_dir():
            continue
        there = DirectorySource(directory, follow=True)
        with contextlib.suppress(CrateError):  # its reader says what is wrong
            if there.size(v.METADATA_FILE) != info.file_size or zlib.crc32(read(there, v.METADATA_FILE)) != info.CRC:
                continue
            if not whole or difference(source, there) is None:
                return True
    return False
