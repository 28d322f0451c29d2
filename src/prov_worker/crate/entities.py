"""JSON text of single entities, and of the document that they make.

Entities are rendered one by one to text, because one compact line an entity is fast to write, easy to compare with
``diff`` and can be kept for the next crate. Properties whose value is None are left out: a crate holds no null.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from prov_worker.crate import vocabulary as v
from prov_worker.crate.json_text import encode, quoted, scalar

Reference = dict[str, str]

_HEAD = '{"@context":' + encode(v.CONTEXT) + ',\n"@graph":[\n'
_TAIL = "\n]}\n"
#: Stands for a text in a :class:`Template`. No text of a crate has a null byte.
PLACE = "\x7f\0"
_PLACE = encode(PLACE)[1:-1]
#: Longer texts are of one task alone.
_SHORT = 200


def document(entities: Iterable[str]) -> str:
    """Return the metadata document that holds the given entities, with a final line end."""
    return _HEAD + ",\n".join(entities) + _TAIL


def beginning(entities: Iterable[str]) -> bytes:
    """Return the text of a document up to some entities, which others follow."""
    return (_HEAD + ",\n".join(entities) + ",\n").encode()


def ending(entities: Iterable[str]) -> bytes:
    """Return the text of a document from some entities on, which are its last."""
    return (",\n".join(entities) + _TAIL).encode()


@dataclass(frozen=True, slots=True)
class Document:
    """The text of a metadata document in two parts.

    Attributes:
        shared: its beginning, which is the same in other crates of a node: one object for all of them.
        own: the rest.
    """

    shared: bytes
    own: bytes

    def encode(self) -> bytes:
        """Return the whole text."""
        return self.shared + self.own


class Template:
    """The text of an entity with places for what differs from one crate to the next.

    Args:
        text: rendered, with :data:`PLACE` in its strings where a text goes.
    """

    __slots__ = ("_form",)

    def __init__(self, text: str) -> None:
        self._form = text.replace("%", "%%").replace(_PLACE, "%s")

    def fill(self, *texts: str) -> str:
        """Return the entity with clean texts in its places, in their order."""
        return self._form % tuple([encode(text)[1:-1] for text in texts])


def document_of(graph: Iterable[Mapping[str, Any]]) -> str:
    """Return a :func:`document` of entities that were read."""
    return document(encode(entity) for entity in graph)


def references(ids: Sequence[str]) -> Reference | list[Reference] | None:
    """Return references to entities; a bare one if there is one, as a list of one member misses a recommendation."""
    if not ids:
        return None
    if len(ids) == 1:
        return {"@id": ids[0]}
    return [{"@id": identifier} for identifier in ids]


def entity(identifier: str, kind: str | list[str], properties: Mapping[str, Any]) -> str:
    """Return an entity from its properties; text in them must be clean."""
    body: dict[str, Any] = {"@id": identifier, "@type": kind}
    body.update((key, value) for key, value in properties.items() if value is not None)
    return encode(body)


def property_value(
    identifier: str,
    name: str,
    value: Any,
    *,
    unit: str | None = None,
    property_id: str | None = None,
    description: str | None = None,
) -> str:
    """Return a PropertyValue; ``unit`` is a name of :data:`prov_worker.crate.vocabulary.UNITS`."""
    head, tail = (frame if len(description or name) < _SHORT else frame.__wrapped__)(
        identifier, name, unit, property_id, description
    )
    return f"{head}{scalar(value)}{tail}"


@lru_cache(maxsize=1024)
def frame(
    identifier: str, name: str, unit: str | None, property_id: str | None, description: str | None
) -> tuple[str, str]:
    """Return what stands before and after the value of a PropertyValue; most are the same in the next crate."""
    head = f'{{"@id":"{identifier}","@type":"PropertyValue","name":{quoted(name)},"value":'
    tail = "" if property_id is None else f',"propertyID":"{property_id}"'
    if unit is not None:
        tail += f',"unitCode":"{v.UNITS[unit]}"'
    if description is not None:
        tail += f',"description":{quoted(description)}'
    return head, tail + "}"


def file(
    identifier: str, name: str, description: str, media_type: str, size: int, sha256: str, about: str | None = None
) -> str:
    """Return a File of the crate. ``contentSize`` is text: RO-Crate 1.1 wants a string of digits."""
    tail = f',"about":{{"@id":"{about}"}}}}' if about is not None else "}"
    return (
        f'{{"@id":"{identifier}","@type":"File","name":{quoted(name)},"description":{quoted(description)},'
        f'"encodingFormat":"{media_type}","contentSize":"{size}","sha256":"{sha256}"{tail}'
    )
