"""Reads many step crates into rows, in batches that any process, here or elsewhere, can take."""

from __future__ import annotations

from dataclasses import dataclass, field

from prov_worker.crate.sources import Source
from prov_worker.crate.summary_reader import open_step
from prov_worker.errors import CrateError, blaming
from prov_worker.run.index.pieces import Piece
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
    return ReadStep({table: list(rows(table, step)) for table in TABLES}, partition, signature)
