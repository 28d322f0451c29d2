"""Entities that many step crates have in common: licences, people, organisations, endpoints.

An entity with an absolute id keeps it. A local one, such as ``#agent``, is another thing in another crate: it gets an
id that ends in a hash of what it says, so that equal ones become one and different ones stay apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prov_worker.crate.graph import Entity, reference_ids
from prov_worker.crate.json_text import encode

#: References are followed so far.
MAX_DEPTH = 4


class Shared:
    """Collects shared entities.

    Args:
        taken: ids that are in use already.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._entities: dict[str, Entity] = {}
        self._known: dict[tuple[str, str], str] = {}
        self._taken = set(taken)

    def take(self, entities: Mapping[str, Entity], identifier: str, depth: int = 0) -> str:
        """Take an entity and what it refers to.

        Args:
            entities: those of the step crate, by id.
            identifier: of the entity there.
            depth: of the reference; what is deeper than a few is cut off.

        Returns:
            Its id in the run crate.
        """
        entity = entities.get(identifier)
        if entity is None or depth > MAX_DEPTH:
            return identifier
        key = (identifier, encode(entity))
        shared_id = self._known.get(key)
        if shared_id is not None and not identifier.startswith("#"):
            return shared_id
        copy: dict[str, Any] = {}
        for name, value in entity.items():
            targets = [target for target in reference_ids(value) if target in entities and target != identifier]
            if targets and name not in ("about", "subjectOf"):
                taken = [self.take(entities, target, depth + 1) for target in targets]
                copy[name] = {"@id": taken[0]} if len(taken) == 1 else [{"@id": reference} for reference in taken]
            elif not (targets and name in ("about", "subjectOf")):
                copy[name] = value
        new = identifier
        if identifier.startswith("#"):
            digest = hashlib.sha256(encode({**copy, "@id": identifier}).encode()).hexdigest()[:10]
            new = f"{identifier}-{digest}"
        copy["@id"] = new
        if new not in self._taken:
            self._taken.add(new)
            self._entities[new] = copy
        self._known[key] = new
        return new

    def entities(self) -> Iterator[Entity]:
        """Yield all that were taken."""
        yield from self._entities.values()
