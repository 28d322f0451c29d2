"""What was worked out for objects that come again: parts of a journal's line are the same objects for all its tasks."""

from __future__ import annotations

from typing import Generic, TypeVar

_Value = TypeVar("_Value")
#: Objects that are remembered, each with its value.
_MOST = 512


class Memo(Generic[_Value]):
    """Values by the identity of objects, which is quicker than by what they hold. The objects must not change."""

    def __init__(self) -> None:
        #: With the objects themselves: while they are here, no others have their ids.
        self._values: dict[tuple[int, ...], tuple[tuple[object, ...], _Value]] = {}

    def get(self, *objects: object) -> _Value | None:
        """Return what was kept for some objects; None if nothing was."""
        entry = self._values.get(tuple(map(id, objects)))
        return None if entry is None else entry[1]

    def keep(self, value: _Value, *objects: object) -> _Value:
        """Keep a value for some objects, and return it."""
        if len(self._values) >= _MOST:
            self._values.clear()
        self._values[tuple(map(id, objects))] = (objects, value)
        return value
