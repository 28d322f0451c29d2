"""Whether a crate is the same as another one, or as it was sealed: all of its files, byte for byte."""

from __future__ import annotations

from collections.abc import Mapping

from prov_worker.crate.sources.base import Source, digest


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
