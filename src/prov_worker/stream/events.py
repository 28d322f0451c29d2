"""Events as they come out of a log."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any

#: What a line of a log may have that no database takes: U+0000, half of a pair of surrogates, and NaN.
_UNSOUND = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])|NaN|Infinity")


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
        """Read a line; None if it is not an event, as a file system may leave if a node lost power."""
        try:
            value = json.loads(line)
            if _UNSOUND.search(line):
                value = _sound(value)
                line = json.dumps(value, separators=(",", ":")).encode()
            data = value["data"]
            texts = [value[key] for key in ("id", "type", "source", "subject", "time")]
            if not isinstance(data, dict) or not all(isinstance(text, str) for text in texts):
                return None
            event_id, kind, source, task_id, time = texts
            return cls(line, event_id, kind, source, int(value["sequence"]), task_id, time, data)
        except (ValueError, LookupError, TypeError, RecursionError):
            return None


def _sound(value: Any) -> Any:
    """Return a value as every database takes it: other characters for those that are none, null for NaN."""
    if isinstance(value, str):
        text = value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return text.replace("\0", "\ufffd")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [_sound(item) for item in value]
    if isinstance(value, dict):
        return {_sound(key): _sound(item) for key, item in value.items()}
    return value
