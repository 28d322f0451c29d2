"""Metadata documents that have each entity on a line of its own, as this package writes them: equal lines read once.

Most entities of a crate are those of other crates too, letter for letter: the node, its hardware, the function, the
endpoint. What stands before the root, and a line that came twice, is not parsed again. A document of any other form,
and one in which anything is wrong or unusual, is left to :mod:`prov_worker.crate.graph`, which says what it is.

A line end cannot lie within a string of JSON, so that lines which are objects by themselves are the entities of the
document, and there are no others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from json import JSONDecoder
from typing import TYPE_CHECKING

from prov_worker.crate import bounds, identifiers
from prov_worker.errors import CrateError

if TYPE_CHECKING:
    from prov_worker.crate.graph import Entity

_BEGIN = '"@graph":[\n'
_END = "\n]}"
#: How the line of the root begins, before which the entities stand that many crates have.
_ROOT = b'\n{"@id":"./",'
#: Larger documents, which few crates have, are read as a whole: so none has more entities or references than allowed.
_MAX_BYTES = 1 << 19
#: What is kept is let go when it is this much.
_KEPT_LINES, _KEPT_CHARACTERS = 8192, 4 << 20
_KEPT_ONCE = 1 << 15
#: Longer lines are hardly those of another crate.
_LONGEST = 4096
_KEPT_HEADS = 64
#: Of beginnings, so many and none longer.
_KEPT_BEGINNINGS, _LONGEST_BEGINNING = 128, 1 << 15
#: A number in what stands before the entities, NaN and infinities among them; none has to stand there.
_NUMBER = re.compile(r"[\[:,]\s*[-0-9NI]")

Pair = tuple[str, "Entity"]


class EntityLines:
    """Entities by their lines.

    Args:
        decoder: of JSON, as strict as the documents are read.
        check: raises :class:`prov_worker.errors.CrateError` for a list of entities that are none.
    """

    def __init__(self, decoder: JSONDecoder, check: Callable[[list[Entity]], None]) -> None:
        self._decode = decoder.raw_decode
        self._check = check
        self._heads: set[str] = set()
        self._beginnings: dict[bytes, dict[str, Entity]] = {}
        self._lines: dict[str, Pair] = {}
        self._characters = 0
        #: Hashes of lines that were met once: only what comes again is worth keeping.
        self._once: set[int] = set()

    def __len__(self) -> int:
        return len(self._lines)

    def entities(self, data: bytes) -> dict[str, Entity] | None:
        """Return the entities of a document by id, in their order; they are shared, and must not be changed.

        Args:
            data: content of a metadata file.

        Returns:
            None if the document has another form, or anything about it asks for a closer look.
        """
        if len(data) > _MAX_BYTES:
            return None
        at = data.find(_ROOT) + 1
        try:
            if not at:
                at = data.index(_BEGIN.encode()) + len(_BEGIN)
            beginning = data[:at]
            entities = self._beginnings.get(beginning)
            if entities is None:
                entities = self._begun(beginning)
            rest = data[at:]
            lines = _lines(rest.decode().rstrip("\n"), _END)
            count = len(entities) + len(lines)
            entities = entities.copy()
            entities.update(self._pairs(lines, rest))
        except (ValueError, RecursionError, CrateError, _UnusualError):
            return None
        return entities if len(entities) == count and identifiers.ROOT in entities else None

    def _begun(self, beginning: bytes) -> dict[str, Entity]:
        """Return the entities in the beginning of a document, which ends behind a line."""
        text = beginning.decode("utf-8-sig")
        begin = text.find(_BEGIN) + len(_BEGIN)
        if begin < len(_BEGIN) or not self._is_head(text[:begin]):
            raise _UnusualError
        lines = _lines(text[begin:], ",\n") if len(text) > begin else []
        pairs = [self._lines.get(line) or self._read(line) for line in lines]
        entities = dict(pairs)
        if len(entities) < len(pairs):
            raise _UnusualError
        if len(beginning) <= _LONGEST_BEGINNING:
            if len(self._beginnings) >= _KEPT_BEGINNINGS:
                del self._beginnings[next(iter(self._beginnings))]
            self._beginnings[beginning] = entities
        return entities

    def _pairs(self, lines: list[str], data: bytes) -> Iterator[Pair]:
        """Yield ids and entities of lines, each of which ends in a comma; ``data`` are the same as bytes."""
        if b"\\u" in data or not identifiers.all_plain(data):
            raise _UnusualError
        kept, once = self._lines, self._once
        for line in lines:
            pair = kept.get(line)
            if pair is None:
                pair = self._parsed(line)
                key = hash(line)
                if key in once:
                    self._keep(line, pair)
                else:
                    if len(once) >= _KEPT_ONCE:
                        once.clear()
                    once.add(key)
            yield pair

    def _is_head(self, head: str) -> bool:
        """Return whether a text is what stands before the entities: of an object whose last member they are."""
        if head in self._heads:
            return True
        try:
            document = json.loads(f"{head}]}}")
        except (ValueError, RecursionError):
            return False
        # the values of other members are not looked at here: any number, or half of a character, would pass
        plain = "\\" not in head and _NUMBER.search(head) is None
        if not plain or not isinstance(document, dict) or next(reversed(document), None) != "@graph":
            return False
        if len(head) <= _LONGEST and document["@graph"] == []:
            if len(self._heads) >= _KEPT_HEADS:
                self._heads.clear()
            self._heads.add(head)
        return head in self._heads

    def _read(self, line: str) -> Pair:
        """Return id and entity of a line, which ends in a comma, and keep them."""
        if "\\u" in line or not identifiers.all_plain(line.encode()):
            raise _UnusualError
        pair = self._parsed(line)
        self._keep(line, pair)
        return pair

    def _parsed(self, line: str) -> Pair:
        entity, end = self._decode(line)
        if line[end:] != "," or type(entity) is not dict:
            raise _UnusualError
        if not _is_simple(entity, line):
            self._check([entity])
        return entity["@id"], entity

    def _keep(self, line: str, pair: Pair) -> None:
        if len(line) > _LONGEST:
            return
        self._characters += len(line)
        if len(self._lines) >= _KEPT_LINES or self._characters > _KEPT_CHARACTERS:
            self._lines.clear()
            self._characters = len(line)
        self._lines[line] = pair


def _lines(text: str, end: str) -> list[str]:
    """Return the lines of entities, each of which ends in a comma; the last one has what ends them behind it."""
    if not text.endswith(end):
        raise _UnusualError
    lines = text[: -len(end)].split("\n")
    lines[-1] += ","
    return lines


def _is_simple(entity: Entity, line: str) -> bool:
    """Return whether an entity has an id and types, and too short a line for more levels or values than allowed."""
    return (
        type(entity.get("@id")) is str
        and type(entity.get("@type", "")) in (str, list)
        # each level has a bracket at both ends
        and (
            len(line) <= 2 * bounds.MAX_LEVELS
            or (len(line) <= bounds.MAX_REFERENCES and line.count("{") + line.count("[") <= bounds.MAX_LEVELS)
        )
    )


class _UnusualError(Exception):
    """A line that is read with its document."""
