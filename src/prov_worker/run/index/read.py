"""Reads many step crates into rows, in pieces that any process, here or elsewhere, can take."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prov_worker.crate.sources import Source, ZipSource, sources_at
from prov_worker.crate.summary import open_step
from prov_worker.errors import CrateError
from prov_worker.run.index.tables import TABLES, Row, rows


@dataclass(slots=True)
class ReadCrate:
    """One crate as rows.

    Attributes:
        identity: absolute path of the crate; of one in a zip, with its place in there.
        size_bytes, mtime_ns: of what holds its metadata.
        sha256: of its metadata.
        start_ns: of the task; its end where it never began. endpoint: id of the endpoint; empty where unknown.
        rows: by table.
    """

    identity: str
    size_bytes: int
    mtime_ns: int
    sha256: str
    start_ns: int
    endpoint: str
    rows: dict[str, list[Row]] = field(default_factory=dict)


@dataclass(slots=True)
class Piece:
    """What was read of a list of paths. ``problems`` are pairs of path and message; the other crates were read."""

    crates: list[ReadCrate] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)


#: Calls a function with each of many arguments, somewhere, and gives the results in any order.
Mapper = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]


def identity_of(source: Source) -> str:
    """What a crate is known by: where it lies."""
    path = str(source.path.absolute())
    return f"{path}!{source.prefix}" if isinstance(source, ZipSource) else path


def read_piece(paths: Sequence[str]) -> Piece:
    """Read the crates at some paths, each a directory or a zip."""
    piece = Piece()
    for path in paths:
        try:
            for source in sources_at(Path(path)):
                try:
                    piece.crates.append(_read(source))
                except CrateError as error:
                    piece.problems.append((source.where, error.within(source.where)))
        except CrateError as error:
            piece.problems.append((path, error.within(path)))
    return piece


def _read(source: Source) -> ReadCrate:
    size, mtime = source.signature()
    step, _ = open_step(source)
    step.crate = identity_of(source)
    return ReadCrate(
        step.crate,
        size,
        mtime,
        step.metadata_sha256 or "",
        step.began_ns,
        step.endpoint_id or "",
        {table: list(rows(table, step)) for table in TABLES},
    )


def here(function: Callable[[Any], Any], pieces: Iterable[Any]) -> Iterator[Any]:
    """A :data:`Mapper` that reads in this process."""
    yield from map(function, pieces)


def in_processes(jobs: int) -> Mapper:
    """A :data:`Mapper` that reads in several processes of this machine, a bounded number of pieces at a time."""

    def mapper(function: Callable[[Any], Any], pieces: Iterable[Any]) -> Iterator[Any]:
        import multiprocessing
        from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait

        # Not forked: the caller may have threads (Arrow's), whose locks a forked child would inherit.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(jobs, mp_context=context, initializer=_end_with_parent) as pool:
            try:
                waiting: set[Future[Any]] = set()
                for piece in pieces:
                    waiting.add(pool.submit(function, piece))
                    if len(waiting) >= 2 * jobs:
                        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                        yield from (one.result() for one in done)
                for one in waiting:
                    yield one.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    return mapper


def _end_with_parent() -> None:
    """Let a process that reads end when the one that asked it is killed: it would wait for work for ever."""
    import multiprocessing
    import threading

    parent = multiprocessing.parent_process()
    assert parent is not None  # this runs in a child

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
