"""Metadata documents that have each entity on a line of its own, as this package writes them: equal lines read once.

Most entities of a crate are those of other crates too, letter for letter: the node, its hardware, the function, the
endpoint. A line that was parsed and checked once is not parsed again. A document of any other form, and one in which
anything is wrong or unusual, is left to :mod:`prov_worker.crate.graph`, which says what it is.

A line end cannot lie within a string of JSON, so that lines which are objects by themselves are the entities of the
document, and there are no others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from json import JSONDecoder
from typing import TYPE_CHECKING

from prov_worker.crate import bounds, identifiers
from prov_worker.errors import CrateError

if TYPE_CHECKING:
    from prov_worker.crate.graph import Entity

_BEGIN = '"@graph":[\n'
_END = "\n]}"
#: Larger documents, which few crates have, are read as a whole: so none has more entities or references than allowed.
_MAX_BYTES = 1 << 19
#: What is kept is let go when it is this much.
_KEPT_LINES, _KEPT_CHARACTERS = 8192, 4 << 20
#: Longer lines are hardly those of another crate.
_LONGEST = 4096
_KEPT_HEADS = 64
#: Without it, the ids in a text are plain.
_MARK = re.compile(r'"\.|/\.|\\')
#: A number in what stands before the entities, NaN and infinities among them; none has to stand there.
_NUMBER = re.compile(r"[\[:,]\s*[-0-9NI]")


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
        self._lines: dict[str, tuple[str, Entity]] = {}
        self._characters = 0

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
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            return None
        text = text.rstrip("\n")
        begin = text.find(_BEGIN) + len(_BEGIN)
        if begin < len(_BEGIN) or not text.endswith(_END) or not self._is_head(text[:begin]):
            return None
        lines = text[begin : -len(_END)].split("\n")
        lines[-1] += ","
        shared = self._lines
        try:
            pairs = [shared.get(line) or self._read(line) for line in lines]
        except _UnusualError:
            return None
        entities = dict(pairs)
        return entities if len(entities) == len(lines) and identifiers.ROOT in entities else None

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

    def _read(self, line: str) -> tuple[str, Entity]:
        """Return id and entity of a line, which ends in a comma."""
        if not line.startswith("{") or (_MARK.search(line) and not _is_plain(line)):
            raise _UnusualError
        try:
            entity, end = self._decode(line)
            if line[end:] != ",":
                raise _UnusualError
            if not _is_simple(entity, line):
                self._check([entity])
        except (ValueError, RecursionError, CrateError):
            raise _UnusualError from None
        pair = entity["@id"], entity
        if len(line) <= _LONGEST:
            self._characters += len(line)
            if len(self._lines) >= _KEPT_LINES or self._characters > _KEPT_CHARACTERS:
                self._lines.clear()
                self._characters = len(line)
            self._lines[line] = pair
        return pair


def _is_plain(line: str) -> bool:
    """Return whether a line has no id that is not written plainly, and no half of a character."""
    return "\\u" not in line and identifiers.all_plain(line.encode())


def _is_simple(entity: Entity, line: str) -> bool:
    """Return whether an entity has an id and types, and too short a line for more levels or values than allowed."""
    brackets = line.count("{") + line.count("[")
    return (
        brackets <= bounds.MAX_LEVELS
        and len(line) <= bounds.MAX_REFERENCES
        and type(entity.get("@id")) is str
        and type(entity.get("@type", "")) in (str, list)
    )


class _UnusualError(Exception):
    """A line that is read with its document."""
