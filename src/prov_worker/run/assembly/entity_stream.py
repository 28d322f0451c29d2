"""Writes the document of a run crate, one entity per line, without ever holding the graph."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO, Any

from prov_worker.crate import vocabulary as v
from prov_worker.crate.json_text import encode


class EntityStream:
    """The document, written to a stream of text.

    Args:
        stream: text, UTF-8.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._out = stream
        self._first = True

    def begin(self) -> None:
        """Write what stands before the entities."""
        self._out.write('{"@context":' + encode(v.CONTEXT) + ',\n"@graph":[\n')

    def end(self) -> None:
        """Write what stands behind the entities."""
        self._out.write("\n]}\n")

    def put(self, entity: dict[str, Any]) -> None:
        """Write an entity."""
        self.line(encode(entity))

    def line(self, text: str) -> None:
        """Write an entity that is JSON already."""
        self._out.write(text if self._first else ",\n" + text)
        self._first = False

    def streamed(self, entity: dict[str, Any], lists: Iterable[tuple[str, Iterable[str]]]) -> None:
        """Write an entity whose long lists of references are never in memory.

        Args:
            entity: without these lists.
            lists: keys, each with the ids that it refers to.
        """
        self.line(encode(entity)[:-1])
        for key, ids in lists:
            self._list(key, ids)
        self._out.write("}")

    def _list(self, key: str, ids: Iterable[str]) -> None:
        iterator = iter(ids)
        first = next(iterator, None)
        if first is None:
            return
        second = next(iterator, None)
        if second is None:
            # A list of one member misses a recommendation.
            self._out.write(f',{encode(key)}:{{"@id":{encode(first)}}}')
            return
        self._out.write(f',{encode(key)}:[{{"@id":{encode(first)}}},{{"@id":{encode(second)}}}')
        for identifier in iterator:
            self._out.write(f',{{"@id":{encode(identifier)}}}')
        self._out.write("]")


def refer(entity: dict[str, Any], key: str, ids: list[str]) -> None:
    """Add references to entities; a bare one if there is one, none if there is none."""
    if len(ids) == 1:
        entity[key] = {"@id": ids[0]}
    elif ids:
        entity[key] = [{"@id": identifier} for identifier in ids]
