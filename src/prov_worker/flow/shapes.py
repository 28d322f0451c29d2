"""What is known of a value before the flow runs: its types, its properties, and whether each is sure to be there."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from prov_worker.flow.source import Steps

#: Deeper than this nothing is known: a loop may put the state into itself without end.
_DEEPEST = 12


class Presence(enum.IntEnum):
    """Whether a property is there."""

    ALWAYS = 0
    #: What has it is not described: it may be there.
    UNKNOWN = 1
    #: The schema has it and does not require it.
    OPTIONAL = 2
    #: Only some of the ways to here write it.
    SOMETIMES = 3
    NEVER = 4


class Property(NamedTuple):
    """A property of an object."""

    shape: Shape
    presence: Presence


@dataclass(frozen=True, slots=True)
class Shape:
    """What is known of a value.

    Attributes:
        types: its JSON types; empty if any.
        properties: of an object.
        closed: whether an object has no other properties.
        items: of an array; None if nothing is known of them.
    """

    types: frozenset[str] = frozenset()
    properties: Mapping[str, Property] = field(default_factory=dict)
    closed: bool = False
    items: Shape | None = None

    def may_be(self, kind: str) -> bool:
        """Return whether the value may be of a type."""
        return not self.types or kind in self.types


ANY = Shape()


class Reading(NamedTuple):
    """What a path leads to.

    Attributes:
        presence: whether something is there.
        shape: what is known of it.
        length: how many steps were followed, if the last of them fails.
        around: what the last step that was followed led to.
    """

    presence: Presence
    shape: Shape
    length: int
    around: Shape


def read(shape: Shape, steps: Steps) -> Reading:
    """Follow steps into a value."""
    presence, around = Presence.ALWAYS, shape
    for length, step in enumerate(steps):
        around = shape
        if isinstance(step, int):
            if not shape.may_be("array"):
                return Reading(Presence.NEVER, ANY, length, around)
            shape = shape.items or ANY
            if shape == ANY:
                return Reading(max(presence, Presence.UNKNOWN), ANY, length, around)
            continue
        if not shape.may_be("object"):
            return Reading(Presence.NEVER, ANY, length, around)
        entry = shape.properties.get(step)
        if entry is None:
            missing = Presence.NEVER if shape.closed else Presence.UNKNOWN
            return Reading(max(presence, missing), ANY, length, around)
        shape, presence = entry.shape, max(presence, entry.presence)
        if presence is Presence.NEVER:
            return Reading(presence, ANY, length, around)
    return Reading(presence, shape, len(steps), around)


def written(shape: Shape, steps: Steps, value: Shape, presence: Presence = Presence.ALWAYS) -> Shape:
    """Return a value after another was put to a place in it; objects on the way are made."""
    return _written(shape, steps[:_DEEPEST], _cut(value, _DEEPEST), presence)


def _written(shape: Shape, steps: Steps, value: Shape, presence: Presence) -> Shape:
    if not steps:
        return value
    step = steps[0]
    if isinstance(step, int):  # which item it is does not matter: it may be any of them
        items = _written(shape.items or ANY, steps[1:], value, presence)
        return Shape(frozenset(("array",)), items=join(items, shape.items or ANY))
    inner = shape.properties.get(step)
    made = Shape(frozenset(("object",)), {}, True)
    below = (inner.shape if inner.shape.may_be("object") else made) if inner is not None else made
    properties = {**shape.properties, step: Property(_written(below, steps[1:], value, presence), presence)}
    return Shape(frozenset(("object",)), properties, shape.closed if shape.may_be("object") else True)


def sure(shape: Shape, steps: Steps) -> Shape:
    """Return a value in which something is present, as a test has shown."""
    for length in range(1, len(steps) + 1):
        part = steps[:length]
        if any(isinstance(step, int) for step in part):
            return shape
        reading = read(shape, part)
        if reading.presence is not Presence.ALWAYS:
            shape = _written(shape, part, reading.shape, Presence.ALWAYS)
    return shape


def join(first: Shape, second: Shape) -> Shape:
    """Return what holds of either of two values."""
    if first == second:
        return first
    types = first.types | second.types if first.types and second.types else frozenset()
    properties: dict[str, Property] = {}
    for key in {**first.properties, **second.properties}:
        mine, others = first.properties.get(key), second.properties.get(key)
        if mine is not None and others is not None:
            properties[key] = Property(join(mine.shape, others.shape), max(mine.presence, others.presence))
        elif mine is not None:
            properties[key] = Property(mine.shape, _missing(mine.presence, second))
        elif others is not None:
            properties[key] = Property(others.shape, _missing(others.presence, first))
    items = None if first.items is None or second.items is None else join(first.items, second.items)
    return Shape(types, properties, first.closed and second.closed, items)


def _missing(presence: Presence, second: Shape) -> Presence:
    if not second.may_be("object"):
        return max(presence, Presence.SOMETIMES)
    return max(presence, Presence.SOMETIMES if second.closed else Presence.UNKNOWN)


def _cut(shape: Shape, depth: int) -> Shape:
    if not shape.properties and shape.items is None:
        return shape
    if depth == 0:
        return Shape(shape.types)
    return Shape(
        shape.types,
        {key: Property(_cut(entry.shape, depth - 1), entry.presence) for key, entry in shape.properties.items()},
        shape.closed,
        None if shape.items is None else _cut(shape.items, depth - 1),
    )


_TYPES: tuple[tuple[type, str], ...] = (
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    (list, "array"),
    (dict, "object"),
)


def type_of(value: Any) -> str:
    """Return the name that JSON Schema has for the type of a value."""
    return next((name for kind, name in _TYPES if isinstance(value, kind)), "null")


def of_value(value: Any) -> Shape:
    """Return what is known of a value that is there."""
    types = frozenset((type_of(value),))
    if isinstance(value, dict):
        return Shape(types, {key: Property(of_value(child), Presence.ALWAYS) for key, child in value.items()}, True)
    if isinstance(value, list) and value:
        items = of_value(value[0])
        for child in value[1:]:
            items = join(items, of_value(child))
        return Shape(types, items=items)
    return Shape(types)


def accepts(expected: frozenset[str], shape: Shape) -> bool:
    """Return whether a value may be of a type among some: an integer is a number."""
    if not expected or not shape.types:
        return True
    wide = expected | {"integer"} if "number" in expected else expected
    return any(kind in wide or (kind == "number" and "integer" in wide) for kind in shape.types)
