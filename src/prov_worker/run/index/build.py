"""Reads step crates once into Parquet tables, and again only what is new or has changed."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from prov_worker.crate import vocabulary as v
from prov_worker.crate.packs.format import is_pack
from prov_worker.crate.sources import candidates, in_zip
from prov_worker.crate.sources.packs import signature_of
from prov_worker.errors import InputError
from prov_worker.locks import lock, open_lock
from prov_worker.run.index.mapping import Mapper, map_serial
from prov_worker.run.index.pieces import pieces
from prov_worker.run.index.read import ReadBatch, read_batch
from prov_worker.run.index.record import SEEN_FILE
from prov_worker.run.index.store import IndexStore, need_arrow
from prov_worker.run.index.tables import Values
from prov_worker.run.model import Problem

SUFFIX = ".index"
LOCK_FILE = ".lock"
#: Crates that one call of the mapper reads.
CRATES_PER_BATCH = 250
#: Crates whose rows are in memory before they are written.
BATCH = 20_000
#: Problems that a further one is compared with.
_LAST = 100


@dataclass(slots=True)
class Indexed:
    """What indexing did.

    Attributes:
        index: directory of the index; it is not made if none of the crates could be read.
        read: crates that were read. unchanged: crates that were known. removed: crates whose rows were taken out.
        total: crates that are in the index, each content once.
        duplicates: crates that are there once more under another path, byte for byte; they do not count.
        repaired: files of the index that were gone or damaged; their crates were read again.
        problems: crates that could not be read.
    """

    index: Path
    read: int = 0
    unchanged: int = 0
    removed: int = 0
    total: int = 0
    duplicates: int = 0
    repaired: list[Path] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def default_index(directory: Path) -> Path:
    """Return where the index of a directory is: beside it, as a sealed run crate cannot take it."""
    path = Path(os.path.abspath(directory))
    return path.with_name(path.name + SUFFIX)


def index(
    directories: Sequence[Path],
    target: Path | None = None,
    *,
    mapper: Mapper = map_serial,
    prune: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Indexed:
    """Bring an index up to date.

    Args:
        directories: directories of step crates, run crates, or zips.
        target: directory of the index, on a local disk; None takes that beside the first directory.
        mapper: spreads the reading.
        prune: take out the rows of crates below these directories that are gone.
        progress: called with the number of crates done and their total.

    Raises:
        InputError: no directory has step crates; one cannot be listed, or is one crate of a zip; pyarrow is missing,
            the record of the index is damaged, or somebody else writes it.
    """
    need_arrow()
    for directory in directories:
        if in_zip(directory) is not None:
            raise InputError(f"{directory}: one crate of a zip file; name the zip file")
    target = target if target is not None else default_index(directories[0])
    # A directory may be named twice.
    paths = list(dict.fromkeys(str(path.absolute()) for directory in directories for path in candidates(directory)))
    is_new = not (target / SEEN_FILE).exists()
    if not paths and is_new:  # an index that is there may lose its last crates
        raise InputError(f"{', '.join(map(str, directories))}: no step crates")
    result = Indexed(target)
    with _locked(target), closing(IndexStore(target)) as store:
        store.recover()
        result.repaired, again, gone = store.repair()
        if gone:
            lost = f"{gone} of the crates in its damaged files {'is' if gone == 1 else 'are'} gone"
            result.problems.append(Problem(str(target), f"{lost}: what these files held of them is lost"))
        paths += sorted((again | store.outdated()).difference(paths))
        indexed = store.locations()
        changed, fresh = _sort_out(paths, indexed, store, result)
        writer = _Writer(store, result, changed)
        done = result.unchanged
        progress(done, len(paths))
        for batch in mapper(read_batch, pieces(fresh, cut=mapper is not map_serial, per_piece=CRATES_PER_BATCH)):
            writer.take(batch)
            done += len(batch.steps) + len(batch.problems)
            progress(min(done, len(paths)), len(paths))
        writer.flush()
        store.remove(store.unread())  # named as problems: they cannot be read any more
        if prune:
            pruned = _gone(indexed, paths, directories)
            store.remove(pruned)
            result.removed += len(pruned)
        store.compact()
        store.mark_duplicates()
        result.duplicates = store.extra()
        result.total = len(store.locations()) - result.duplicates
        if is_new and not result.total:
            _take_away(target)
    return result


def _sort_out(
    paths: Iterable[str], indexed: set[str], store: IndexStore, result: Indexed
) -> tuple[set[str], list[str]]:
    """Return locations that are known and may have changed, and paths to read."""
    changed: set[str] = set()
    fresh: list[str] = []
    in_zips: dict[str, list[str]] = {}
    for location in indexed:
        path, mark, _ = location.rpartition("!")
        if mark:
            in_zips.setdefault(path, []).append(location)
    for path in paths:
        inside = in_zips.get(path, [path] if path in indexed else [])
        if not inside:
            fresh.append(path)
            continue
        signature = signature_of(Path(path)) if is_pack(os.path.basename(path)) else _signature(path, path in in_zips)
        if all(store.unchanged(location, *signature) for location in inside):
            result.unchanged += len(inside)
        else:
            changed.update(inside)
            fresh.append(path)
    return changed, fresh


def _signature(path: str, is_zip: bool) -> tuple[int, int]:
    try:
        status = os.stat(path if is_zip else os.path.join(path, v.METADATA_FILE))
    except OSError:
        return (-1, -1)
    return status.st_size, status.st_mtime_ns


def _gone(indexed: set[str], paths: Iterable[str], directories: Sequence[Path]) -> set[str]:
    present = set(paths)
    roots = tuple(f"{os.path.abspath(directory)}{os.sep}" for directory in directories)
    return {
        location
        for location in indexed
        if location.rpartition("!")[0] not in present
        and location not in present
        and f"{location}{os.sep}".startswith(roots)
    }


class _Writer:
    """Gathers rows and writes them in batches."""

    def __init__(self, store: IndexStore, result: Indexed, changed: set[str]) -> None:
        self._store = store
        self._result = result
        self._changed = changed
        self._stale: set[str] = set()
        self._seen: list[tuple[str, int, int, str, str]] = []
        self._rows: dict[tuple[str, str], list[Values]] = {}

    def take(self, batch: ReadBatch) -> None:
        """Take what was read of one batch."""
        # of a pack that cannot be read, each part says so
        self._result.problems += [
            problem for problem in batch.problems if problem not in self._result.problems[-_LAST:]
        ]
        for step in batch.steps:
            location, sha256 = step.location, step.sha256
            if location in self._changed:
                if self._store.sha256(location) == sha256:
                    self._store.touch(location, *step.signature)
                    self._result.unchanged += 1
                    continue
                self._stale.add(location)
            self._seen.append((location, *step.signature, sha256, step.partition))
            for table, rows in step.rows.items():
                if rows:
                    self._rows.setdefault((table, step.partition), []).extend(rows)
            self._result.read += 1
        if len(self._seen) >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Write what was gathered."""
        if self._stale:
            self._store.remove(self._stale)
            self._stale.clear()
        if self._seen:
            self._store.add(self._seen, self._rows)
            self._seen.clear()
            self._rows.clear()


def _take_away(target: Path) -> None:
    """Remove an index in which there is nothing, and which would be taken for an answer."""
    for name in os.listdir(target):
        if name == LOCK_FILE or name.startswith(SEEN_FILE):
            (target / name).unlink(missing_ok=True)
    with suppress(OSError):  # it holds something else
        target.rmdir()


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    """Hold the index as its one writer."""
    try:
        target.mkdir(mode=0o755, exist_ok=True)
        descriptor = open_lock(target / LOCK_FILE, 0o644)
    except OSError as error:
        raise InputError(f"{target}: cannot be made: {error.strerror or error}") from None
    record = target / SEEN_FILE
    try:
        if not lock(descriptor):
            raise InputError(f"{target}: another process is writing this index")
        yield
    except sqlite3.OperationalError as error:
        raise InputError(f"{record}: cannot be read or written: {error}") from None
    except sqlite3.DatabaseError as error:
        raise InputError(f"{record}: no record of an index: {error}; remove it, and index again") from None
    finally:
        os.close(descriptor)
