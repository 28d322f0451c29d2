"""Reads many step crates into rows, in batches that any process, here or elsewhere, can take."""

from __future__ import annotations

from dataclasses import dataclass, field

from prov_worker.crate.sources import Source
from prov_worker.crate.summary_reader import open_step
from prov_worker.errors import CrateError, blaming
from prov_worker.run.index.pieces import Piece
from prov_worker.run.index.store import partition_of
from prov_worker.run.index.tables import TABLES, VALUES, Values, rows
from prov_worker.run.model import Problem


@dataclass(slots=True)
class ReadStep:
    """One step as rows.

    Attributes:
        location: :attr:`prov_worker.crate.sources.Source.location`, by which the index knows the crate.
        sha256: hash of its metadata.
        rows: by table, each with the values of :data:`prov_worker.run.index.tables.PLAIN`.
        partition: of the index, where they belong.
        signature: size and modification time (ns) of what holds the metadata.
    """

    location: str
    sha256: str
    rows: dict[str, list[Values]]
    partition: str
    signature: tuple[int, int]


@dataclass(slots=True)
class ReadBatch:
    """What was read of a list of paths; what could not be read is in ``problems``."""

    steps: list[ReadStep] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def read_batch(piece: Piece) -> ReadBatch:
    """Read the crates of a piece."""
    batch = ReadBatch()

    def refuse(where: str, error: CrateError) -> None:
        batch.problems.append(Problem.of(where, error))

    for source in piece.sources(refuse):
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
    values = {table: list(map(VALUES[table], rows(table, step))) for table in TABLES}
    return ReadStep(step.crate, step.metadata_sha256 or "", values, partition, signature)
