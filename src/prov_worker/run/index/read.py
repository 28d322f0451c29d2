"""Reads many step crates into rows, in batches that any process, here or elsewhere, can take."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prov_worker.crate.sources import Source, each_source
from prov_worker.crate.summary_reader import open_step
from prov_worker.errors import CrateError, blaming
from prov_worker.run.index.store import partition_of
from prov_worker.run.index.tables import TABLES, Row, rows
from prov_worker.run.model import Problem


@dataclass(slots=True)
class ReadStep:
    """One step as rows.

    Attributes:
        rows: by table; their ``crate`` is :attr:`prov_worker.crate.sources.Source.location`.
        partition: of the index, where they belong.
        signature: size and modification time (ns) of what holds the metadata.
    """

    rows: dict[str, list[Row]]
    partition: str
    signature: tuple[int, int]

    @property
    def location(self) -> str:
        """Path of the crate, by which the index knows it."""
        return str(self.rows["tasks"][0]["crate"])

    @property
    def sha256(self) -> str:
        """Hash of the metadata."""
        return str(self.rows["tasks"][0]["metadata_sha256"])


@dataclass(slots=True)
class ReadBatch:
    """What was read of a list of paths; what could not be read is in ``problems``."""

    steps: list[ReadStep] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


#: Calls a function with each of many arguments, somewhere, and gives the results in any order.
Mapper = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]


def read_batch(paths: Sequence[str]) -> ReadBatch:
    """Read the crates at some paths, each a directory or a zip."""
    batch = ReadBatch()

    def refuse(where: str, error: CrateError) -> None:
        batch.problems.append(Problem.of(where, error))

    for source in itertools.chain.from_iterable(each_source(Path(path), refuse) for path in paths):
        try:
            with blaming(source.where):
                batch.steps.append(_read(source))
        except CrateError as error:
            refuse(source.where, error)
    return batch


def _read(source: Source) -> ReadStep:
    signature = source.signature()  # first: what changes meanwhile is read again
    step, _ = open_step(source)
    step.crate = source.location
    partition = partition_of(step.began_ns, step.endpoint_id or "")
    return ReadStep({table: list(rows(table, step)) for table in TABLES}, partition, signature)


def map_serial(function: Callable[[Any], Any], batches: Iterable[Any]) -> Iterator[Any]:
    """Yield a :data:`Mapper` that reads in this process."""
    yield from map(function, batches)


def map_processes(jobs: int) -> Mapper:
    """Return a :data:`Mapper` that reads in several processes, a bounded number of batches at a time."""

    def mapper(function: Callable[[Any], Any], batches: Iterable[Any]) -> Iterator[Any]:
        import multiprocessing
        from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait

        # Not forked: the caller may have threads (Arrow's), whose locks a forked child would inherit.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(jobs, mp_context=context, initializer=_end_with_parent) as pool:
            try:
                waiting: set[Future[Any]] = set()
                for batch in batches:
                    waiting.add(pool.submit(function, batch))
                    if len(waiting) >= 2 * jobs:
                        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                        yield from (future.result() for future in done)
                for future in waiting:
                    yield future.result()
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
