"""The files that a crate lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prov_worker.crate import identifiers
from prov_worker.crate.graph import Entity, content_size, types_of


@dataclass(frozen=True, slots=True)
class CrateFile:
    """A file that a crate lists.

    Attributes:
        id: identifier in the crate.
        relative: path in the crate.
        name: human-readable name.
        media_type: such as ``application/json``; None if the crate does not say.
        size_bytes: as the crate says; None if it does not.
        sha256: as the crate says; None if it does not.
    """

    id: str
    relative: str
    name: str
    media_type: str | None
    size_bytes: int | None
    sha256: str | None


class OutsideError(ValueError):
    """A listed file does not lie in the crate; the text is its identifier."""


def listed_files(entities: Mapping[str, Entity]) -> list[CrateFile]:
    """Return the files that a crate lists, in its order.

    Args:
        entities: of the crate, by id.

    Raises:
        OutsideError: a path leads out of the crate.
    """
    files = []
    for identifier, entity in entities.items():
        kind = entity.get("@type")
        if kind != "File" and (type(kind) is str or "File" not in types_of(entity)):
            continue
        # A File by an absolute URI lies elsewhere, one by "#…" is not a file of the crate, such as a stream.
        relative = identifiers.local_path(identifier)
        if relative is None:
            continue
        if identifiers.leads_outside(relative):
            raise OutsideError(identifier)
        files.append(
            CrateFile(
                id=identifier,
                relative=relative,
                name=str(entity.get("name", relative)),
                media_type=media_type if isinstance(media_type := entity.get("encodingFormat"), str) else None,
                size_bytes=content_size(entity),
                sha256=sha256 if isinstance(sha256 := entity.get("sha256"), str) else None,
            )
        )
    return files
