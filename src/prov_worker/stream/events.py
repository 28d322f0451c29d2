"""Events as they come out of a log."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a log.

    Attributes:
        line: the whole event, a CloudEvent in JSON, without the line's end.
        id: unique.
        kind: such as ``task.ended``.
        source: its place.
        sequence: its number in its place.
        task_id: of the task that it is about.
        time: when it was reported, RFC 3339.
        data: what it says.
    """

    line: bytes
    id: str
    kind: str
    source: str
    sequence: int
    task_id: str
    time: str
    data: dict[str, Any]

    @classmethod
    def parse(cls, line: bytes) -> Event | None:
        """Read a line; None if it is no event, as a file system may leave if a node lost power."""
        try:
            value = json.loads(line)
            data = value["data"]
            texts = [value[key] for key in ("id", "type", "source", "subject", "time")]
            if not isinstance(data, dict) or not all(isinstance(text, str) for text in texts):
                return None
            event_id, kind, source, task_id, time = texts
            return cls(line, event_id, kind, source, int(value["sequence"]), task_id, time, data)
        except (ValueError, LookupError, TypeError, RecursionError):
            return None
