"""Which crates there are at a path: a directory, a zip file, a run crate, or a directory of any of them."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from prov_worker.crate import vocabulary as v
from prov_worker.crate.packs.format import is_pack
from prov_worker.crate.sources.base import Source
from prov_worker.crate.sources.directories import DirectorySource
from prov_worker.crate.sources.packs import closed_path, pack_sources, present
from prov_worker.crate.sources.triggers import is_trigger
from prov_worker.crate.sources.zips import crates_in, run_source, runs_among, zip_sources
from prov_worker.errors import CrateError, InputError, blaming


def run_sources(path: Path) -> Iterator[Source]:
    """Yield the run crates at a path: the directory if it is one, and those in a zip file.

    Raises:
        CrateError: the path is a file, and not a zip that can be read.
    """
    if is_run(path):
        yield DirectorySource(path)
    elif path.is_file():
        archive, tops = crates_in(path)
        for top in sorted(runs_among(tops)):
            yield run_source(path, archive, top)


def is_run(path: Path) -> bool:
    """Return whether a directory was assembled as a run crate."""
    return (path / v.STEPS_DIR).is_dir() and (path / v.METADATA_FILE).is_file()


def need_directory(directory: Path) -> None:
    """Refuse what is not a directory of crates, in which crates come and go.

    Raises:
        InputError: no directory, or a crate: a run crate is sealed.
    """
    path = directory.resolve()
    if not path.is_dir():
        raise InputError(f"{directory}: no such directory")
    if is_run(path) or (path.name == v.STEPS_DIR and is_run(path.parent)) or (path / v.METADATA_FILE).exists():
        raise InputError(f"{directory}: a crate, and no directory of crates; a run crate is sealed: nothing of it goes")


def candidates(path: Path) -> Iterator[Path]:
    """Yield the paths that may be step crates, at or directly in a directory, sorted by name.

    These are: the directory itself if it holds crate metadata; else everything in it that is named ``*.crate`` or
    ``*.zip``, whatever it is, and every directory that holds crate metadata; of a run crate, those in ``steps/``.
    Hidden ones, which are crates in the making, never, nor run crates in a directory of step crates, nor the crates of
    triggers. A file, and a crate in a zip (``many.zip!task.crate``), are given as they are.

    A pack has the name that it has once it is closed, whether it is or not.

    Raises:
        CrateError: no such path, or it cannot be listed.
    """
    if is_pack(path.name) and present(path) is not None:
        yield closed_path(path)
        return
    if path.is_file() or in_zip(path) is not None:
        yield path
        return
    if (path / v.METADATA_FILE).is_file() and not is_run(path):
        if not is_trigger(DirectorySource(path)):
            yield path
        return
    if is_run(path) or (path.name.endswith(v.CRATE_SUFFIX) and (path / v.STEPS_DIR).is_dir()):
        path = path / v.STEPS_DIR
    try:
        with os.scandir(path) as entries:
            inside = sorted((entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith("."))
    except OSError as error:
        raise CrateError(path, f"cannot be listed: {error.strerror or error}") from None
    packs = set()
    for name, is_directory in inside:
        candidate = path / name
        if is_pack(name) and not is_directory:
            if closed_path(candidate) not in packs:
                packs.add(closed_path(candidate))
                yield closed_path(candidate)
            continue
        if is_directory:
            if (name.endswith(v.CRATE_SUFFIX) or (candidate / v.METADATA_FILE).is_file()) and not (
                is_run(candidate) or is_trigger(DirectorySource(candidate))
            ):
                yield candidate
        elif name.endswith((v.ZIP_SUFFIX, v.CRATE_SUFFIX)):
            yield candidate


def in_zip(path: Path) -> tuple[Path, str] | None:
    """Return the zip file and the directory in it that ``many.zip!task.crate`` names; None for any other path."""
    text = str(path)
    at = text.find("!")
    while at >= 0:
        if is_there(Path(text[:at])) and not os.path.isdir(text[:at]) and not os.path.lexists(text):
            return Path(text[:at]), text[at + 1 :].rstrip("/")
        at = text.find("!", at + 1)
    return None


def is_there(path: Path) -> bool:
    """Return whether there is something at a path; a pack is there by both of its names."""
    return path.exists() or (is_pack(path.name) and present(path) is not None)


def need_zip(path: Path) -> None:
    """Refuse a file that is not a zip file; one that is named so may be a damaged one, and its reader tells more.

    Raises:
        CrateError: it is not.
    """
    if path.suffix != v.ZIP_SUFFIX and not is_pack(path.name) and not zipfile.is_zipfile(path):
        raise CrateError(path, "is a file; expected a crate directory or a zip")


def sources_at(candidate: Path, *, lenient: bool = False) -> Iterator[Source]:
    """Yield the step crates at one path that :func:`candidates` gave.

    Args:
        candidate: the path.
        lenient: take names that are not text, and read files that links lead to: for what only looks at crates.

    Raises:
        CrateError: the path is a zip that cannot be taken, a link to nowhere, not a regular file, or its name is not
            text.
    """
    try:
        if not lenient:
            candidate.name.encode()
    except UnicodeEncodeError:
        raise CrateError(candidate, "a name that is not a text in UTF-8") from None
    if candidate.is_dir():
        yield DirectorySource(candidate, follow=lenient)
        return
    if is_pack(candidate.name) and present(candidate) is not None:
        yield from pack_sources(candidate)
        return
    if not candidate.exists():
        named = in_zip(candidate)
        if named is not None:
            yield _source_in_zip(*named)
            return
        problem = "a link that leads nowhere" if candidate.is_symlink() else "no such crate"
        raise CrateError(candidate, problem)
    if not candidate.is_file():
        raise CrateError(candidate, "not a regular file")  # a pipe would make the reader wait for ever
    need_zip(candidate)
    yield from zip_sources(candidate)


def _source_in_zip(path: Path, inner: str) -> Source:
    for source in pack_sources(path) if is_pack(path.name) else zip_sources(path):
        if source.prefix.rstrip("/") == inner:
            return source
    raise CrateError(f"{path}!{inner}", "no such crate in the zip")


#: Called with what :func:`candidates` gave, and the reason why it cannot be taken.
Refuse = Callable[[str, CrateError], None]


def each_source(candidate: Path, refuse: Refuse, *, lenient: bool = False) -> Iterator[Source]:
    """Yield what :func:`sources_at` does; ``refuse`` is called instead of an error that is raised."""
    try:
        with blaming(candidate):
            yield from sources_at(candidate, lenient=lenient)
    except CrateError as error:
        refuse(str(candidate), error)


def find_sources(path: Path, refuse: Refuse) -> Iterator[Source]:
    """Yield all step crates at or directly in a path: a directory, a zip file, a run crate.

    Args:
        path: where to look.
        refuse: called with what cannot be taken; the others are given.

    Raises:
        CrateError: the path does not exist, or cannot be listed.
    """
    for candidate in candidates(path):
        yield from each_source(candidate, refuse)


def source_of(crate: Path | str) -> Source:
    """Return the one step crate at a path: a directory, a zip of one, or ``many.zip!task.crate``.

    Raises:
        CrateError: there is none, or more than one.
    """
    sources = sources_at(Path(crate), lenient=True)
    first = next(sources)
    if next(sources, None) is not None:
        raise CrateError(crate, f"more than one crate; name one, such as {first.where}")
    return first
