"""A step crate as it was examined, here or in another process: what its run crate takes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prov_worker.crate import vocabulary as v
from prov_worker.crate.graph import Entity, reference_ids
from prov_worker.crate.reader import StepCrate
from prov_worker.crate.sources import PackSource, Source
from prov_worker.crate.summary import RunStep
from prov_worker.crate.summary_reader import open_step
from prov_worker.errors import CrateError, blaming
from prov_worker.run.assembly import vocabulary as rv
from prov_worker.run.assembly.copy import CopiedCrate, inspect_crate
from prov_worker.run.assembly.shared_entities import MAX_DEPTH
from prov_worker.run.index.pieces import Piece
from prov_worker.run.model import Problem


@dataclass(frozen=True, slots=True)
class Stored:
    """Where a crate lies in a pack, and size and checksum of its metadata there."""

    path: Path
    crate: str
    metadata: tuple[int, int]


@dataclass(slots=True)
class Examined:
    """What a run crate takes of a step crate.

    Attributes:
        step: its facts.
        where: what errors name.
        path: of the crate, or of what it lies in.
        named: its name, without suffix.
        function: entity of the function.
        action_id: of the execution.
        entities: arguments, results, files and totals, by id.
        root: name, description, datePublished of the crate.
        roles: ids of ``license``, ``agent`` and ``provider``; None of one that it does not have.
        related: entities of these, and what they refer to.
        files: what was found of its files; None if they are still to be copied.
        stored: where it lies in a pack, if it is copied as it is stored.
    """

    step: RunStep
    where: str
    path: Path
    named: str
    function: Entity
    action_id: str
    entities: dict[str, Entity]
    root: Entity
    roles: dict[str, str | None]
    related: dict[str, Entity]
    files: CopiedCrate | None = None
    stored: Stored | None = None


@dataclass(slots=True)
class ExaminedPiece:
    """The crates of a piece; what could not be read is in ``problems``."""

    steps: list[Examined] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Examiner:
    """Examines crates of packs, piece by piece, in any process.

    Attributes:
        max_file_bytes: a crate with a larger file is refused; 0 for no limit.
    """

    max_file_bytes: int

    def __call__(self, piece: Piece) -> ExaminedPiece:
        """Return the crates of a piece."""
        result = ExaminedPiece()

        def refuse(where: str, error: CrateError) -> None:
            result.problems.append(Problem.of(where, error))

        for source in piece.sources(refuse):
            try:
                with blaming(source.where):
                    step, crate = open_step(source)
                    result.steps.append(examine(source, step, crate, self.max_file_bytes))
            except CrateError as error:
                refuse(source.where, error)
        return result


def examine(source: Source, step: RunStep, crate: StepCrate, max_file_bytes: int | None) -> Examined:
    """Return what a run crate takes of a crate.

    Args:
        source: where it lies.
        step: its facts.
        crate: the same, read.
        max_file_bytes: as of :class:`Examiner`, of a crate that is copied as it is stored in its pack; None for others.

    Raises:
        CrateError: as of :func:`~prov_worker.run.assembly.copy.inspect_crate`.
    """
    root = crate.entities["./"]
    shown = [value.id for value in (*step.arguments, *step.results)] + [file.id for file in step.files]
    for identifier in reference_ids(crate.action.get("resourceUsage")):
        if identifier in rv.SHOWN_USAGE or identifier.startswith("#usage-gpu-"):
            shown.append(identifier)
    named = {"license": root, "agent": crate.action, "provider": crate.action}
    roles = {role: _first(crate.entities, entity.get(role)) for role, entity in named.items()}
    examined = Examined(
        step=step,
        where=source.where,
        path=source.path,
        named=source.key,
        function=crate.function,
        action_id=crate.action["@id"],
        entities={identifier: crate.entities[identifier] for identifier in shown},
        root={key: root[key] for key in ("name", "description", "datePublished") if isinstance(root.get(key), str)},
        roles=roles,
        related=_related(crate.entities, [identifier for identifier in roles.values() if identifier is not None]),
    )
    if isinstance(source, PackSource) and max_file_bytes is not None:
        info = source.member(v.METADATA_FILE)
        examined.files = inspect_crate(source, crate, step.metadata_sha256, max_file_bytes)
        examined.stored = Stored(source.path, source.prefix.rstrip("/"), (info.file_size, info.CRC))
    return examined


def _first(entities: Mapping[str, Entity], value: Any) -> str | None:
    ids = reference_ids(value)
    return ids[0] if ids and ids[0] in entities else None


def _related(entities: Mapping[str, Entity], ids: list[str]) -> dict[str, Entity]:
    """Return entities and what they refer to, as deep as a run crate takes it."""
    related: dict[str, Entity] = {}
    for _ in range(MAX_DEPTH + 3):
        new = [identifier for identifier in ids if identifier in entities and identifier not in related]
        related |= {identifier: entities[identifier] for identifier in new}
        ids = [
            target for identifier in new for value in entities[identifier].values() for target in reference_ids(value)
        ]
    return related
